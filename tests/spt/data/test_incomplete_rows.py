"""Rows without a text or a label, and all problems of all splits in one error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spt.data.config import DataConfig
from spt.data.loading import load_splits
from spt.errors import InputError
from spt.tasks import get_task

CUSTOM = get_task("custom")
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, rows: list[Any]) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write_file


def rows(number: int, **changes: dict[int, Any]) -> list[dict[str, Any]]:
    """Rows of two classes, some of whose fields are replaced."""
    made = [{"text": f"text {i} of {number}", "label": "ab"[i % 2]} for i in range(number)]
    for field, values in changes.items():
        for row, value in values.items():
            made[row][field] = value
    return made


def load(task: Any = CUSTOM, **options: Any) -> Any:
    return load_splits(task, DataConfig(**options), 0)


def test_all_rows_are_named_up_to_twenty_and_counted(write: Write) -> None:
    missing = dict.fromkeys(range(5, 35), None)
    path = write("t.jsonl", rows(60, text=missing, label={3: "", 4: float("nan")}))
    with pytest.raises(InputError) as refused:
        load(train=path)
    said = str(refused.value)
    assert said.startswith("2 problems in the data:\n")
    numbers = ", ".join(str(row + 1) for row in range(5, 25))
    assert f"{path}: The text column 'text' of train is empty in 30 rows: {numbers} …" in said
    assert f"{path}: The label column 'label' of train is empty in 2 rows: 4, 5." in said
    assert said.count("set data.incomplete to drop") == 2


def test_dropped_rows_are_counted_in_one_line(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    path = write("t.jsonl", rows(60, text={2: " "}, label={2: None, 9: None}))
    splits = load(train=path, incomplete="drop")
    assert splits.left_out == {"train": 2}
    assert sum(map(len, splits.values())) == 58
    assert f"{path}: left out of train: 2 of 60 rows, which have no text or no label (2 rows: 3, 10)" in (
        caplog.text
    )


def test_numbers_of_rows_stay_those_of_the_file(write: Write) -> None:
    path = write("t.jsonl", rows(60, text={2: None, 40: 5}, label={50: ["a"]}))
    with pytest.raises(InputError) as refused:
        load(train=path, incomplete="drop")
    assert "type int in row 41" in str(refused.value)
    assert "type list in row 51" in str(refused.value)


def test_a_split_of_which_nothing_is_left_is_refused(write: Write) -> None:
    train, dev = write("t.jsonl", rows(40)), write("d.jsonl", [{"text": "", "label": "a"}] * 3)
    with pytest.raises(InputError, match="No row of dev has both a text and a label"):
        load(train=train, dev=dev, incomplete="drop")


def test_a_pair_needs_both_texts(write: Write) -> None:
    made = [{"a": f"a {i}", "b": "" if i == 7 else f"b {i}", "label": i % 2} for i in range(40)]
    task = get_task("custom", text="a", text_pair="b")
    with pytest.raises(InputError, match="text column 'b' of train is empty in row 8"):
        load(task, train=write("t.jsonl", made))
    splits = load(task, train=write("t.jsonl", made), incomplete="drop")
    assert splits.left_out == {"train": 1}


def test_every_problem_of_every_split_is_told_at_once(write: Write, tmp_path: Path) -> None:
    train = write("t.jsonl", rows(40, text={1: None, 2: 5}, label={3: {"x": 1}}))
    dev = write("d.jsonl", [{"text": "dev", "label": "a"}, {"text": 7, "label": "b"}])
    test = tmp_path / "none.jsonl"
    with pytest.raises(InputError) as refused:
        load(train=train, dev=dev, test=test)
    lines = str(refused.value).splitlines()
    assert lines[0] == "5 problems in the data:"
    expected = [
        f"The data file {test} does not exist",
        f"{train}: The text column 'text' of train is empty in row 2",
        f"{train}: The text column 'text' of train holds a value of type int in row 3",
        f"{train}: The label column 'label' of train holds a value of type dict in row 4",
        f"{dev}: The text column 'text' of dev holds a value of type int in row 2",
    ]
    for text in expected:
        assert any(line.strip().startswith(text) for line in lines), text


def test_labels_of_two_splits_that_no_training_row_has_are_told_at_once(write: Write) -> None:
    train = write("t.jsonl", rows(40))
    dev = write("d.jsonl", [{"text": "dev", "label": "c"}, {"text": "more", "label": "a"}])
    test = write("e.jsonl", [{"text": "test", "label": "d"}])
    with pytest.raises(InputError) as refused:
        load(train=train, dev=dev, test=test)
    assert f"{dev}: Label 'c' of dev" in str(refused.value)
    assert f"{test}: Label 'd' of test" in str(refused.value)


def test_every_column_that_is_missing_is_told(write: Write) -> None:
    train = write("t.jsonl", [{"body": "x", "team": "a"}] * 4)
    with pytest.raises(InputError) as refused:
        load(train=train)
    assert "Unknown column 'text'" in str(refused.value)
    assert "Unknown column 'label'" in str(refused.value)
