"""What the tables of results are written with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table, with an empty one before them."""
    return ["", *(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))]


def layers(numbers: Iterable[int]) -> str:
    """'2+3', or 'none'."""
    return "+".join(map(str, numbers)) or "none"
