"""What is best for what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def front_of(items: Iterable[Item], place: Callable[[Item], tuple[float, float]]) -> list[Item]:
    """Return the Pareto front: the items whose score no cheaper or equally dear one reaches.

    Args:
        items: in any order; of those at one place the first is on the front.
        place: an item -> its cost, where less is better, and its score, where more is.

    Returns:
        The items of the front, the cheapest first, so that their scores rise.
    """
    places = [(*place(item), item) for item in items]
    front: list[Item] = []
    best = float("-inf")
    for _, score, item in sorted(places, key=lambda each: (each[0], -each[1])):
        if not front or score > best:
            front.append(item)
            best = score
    return front
