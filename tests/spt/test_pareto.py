"""A front has what nothing beats in both, each once."""

from __future__ import annotations

import pytest

from spt.pareto import front_of


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ({"a": (1, 0.5), "b": (2, 0.7), "c": (3, 0.6)}, ["a", "b"]),
        ({"dear": (2, 0.7), "cheap": (1, 0.7)}, ["cheap"]),
        ({"low": (1, 0.5), "high": (1, 0.6)}, ["high"]),
    ],
)
def test_the_front_is_what_nothing_beats_in_both(
    points: dict[str, tuple[float, float]], front: list[str]
) -> None:
    assert front_of(points, points.__getitem__) == front


def test_a_front_has_what_nothing_cheaper_reaches() -> None:
    points = [(2, 0.7), (1, 0.5), (3, 0.6), (2, 0.8), (4, 0.9)]
    assert front_of(points, lambda point: point) == [(1, 0.5), (2, 0.8), (4, 0.9)]


def test_of_equals_the_first_is_there() -> None:
    assert front_of(["b", "a"], lambda _: (1, 0.5)) == ["b"]
    assert front_of([], lambda _: (1, 0.5)) == []
