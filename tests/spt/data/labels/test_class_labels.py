"""Labels that are hardly names of classes are refused or told."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from spt.data.columns import to_rows
from spt.data.reading.raw_table import RawTable
from spt.errors import InputError
from spt.tasks import get_task


def rows(label: Callable[[int], object], number: int = 60, **task: object) -> None:
    texts = [f"text {n}" for n in range(number)]
    table = RawTable({"text": texts, "label": [label(n) for n in range(number)]})
    to_rows(get_task("custom", **task), {"train": table})


@pytest.mark.parametrize("kind", [float, str])
def test_values_of_a_regression_are_refused(kind: Callable[[float], object]) -> None:
    said = r"of train holds 60 different labels in 60 rows, as the numbers 0\.05.*task\.labels"
    with pytest.raises(InputError, match=said):
        rows(lambda n: kind(n + 0.05))


def test_few_numbers_with_a_fraction_are_told(caplog: pytest.LogCaptureFixture) -> None:
    rows(lambda n: n % 4 / 2)
    (line,) = caplog.messages
    assert "numbers with a fraction, each of which is taken for a class: 0.5, 1.5;" in line


def test_labels_that_are_nearly_one_a_row_are_told(caplog: pytest.LogCaptureFixture) -> None:
    rows(lambda n: f"id {n // 2}")
    (line,) = caplog.messages
    assert "holds 30 different labels in 60 rows, each of which is taken for a class" in line


@pytest.mark.parametrize(
    ("label", "number"),
    [
        (lambda n: n % 5, 60),
        (lambda n: f"{n % 2}.0", 60),
        (lambda n: "v1.5" if n % 2 else "1.", 60),
        # one row a class
        (lambda n: n, 6),
        (lambda n: n % 20, 60),
    ],
)
def test_classes_are_not_told(
    label: Callable[[int], object], number: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        rows(label, number)
    assert not caplog.messages


def test_numbers_that_the_task_names_are_classes(caplog: pytest.LogCaptureFixture) -> None:
    rows(lambda n: n / 2, 4, labels=["0", "0.5", "1", "1.5"])
    assert not caplog.messages
