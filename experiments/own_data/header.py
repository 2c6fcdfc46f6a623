"""Whether the first line of a table names its columns, and what texts and labels are often called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

# parts of names, the most telling first
TEXT_NAMES = (
    "text",
    "message",
    "sentence",
    "review",
    "comment",
    "body",
    "content",
    "description",
    "question",
)
LABEL_NAMES = (
    "label",
    "class",
    "category",
    "target",
    "intent",
    "sentiment",
    "topic",
    "team",
    "stars",
    "rating",
)
# values among rows in a column whose values repeat
MOST_DISTINCT = 0.5
NAME = re.compile(r"[^\W\d][\w.-]{0,29}")


def is_row(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Say whether the first line of a table is a row: a column whose values repeat has its cell as well.

    A text may be the name of its column by chance, and a header that is in the file twice says nothing. A
    column of classes may be called like one of them, where another cell looks like a name.

    Args:
        first: the cells of the line.
        rest: those of all others, as many each.
    """
    others = [row for row in rest if row != first]
    columns = [[row[column] for row in others] for column in range(len(first))]
    fitting = [place for place, cell in enumerate(first) if cell and _repeats(cell, columns[place])]
    if len(fitting) != 1 or _is_number(first[fitting[0]]):
        return bool(fitting)
    return not any(
        place not in fitting and _looks_like_name(cell, columns[place]) for place, cell in enumerate(first)
    )


def _repeats(cell: str, values: Sequence[str]) -> bool:
    distinct = set(values)
    return cell in distinct and len(distinct) <= len(values) * MOST_DISTINCT


def _is_number(cell: str) -> bool:
    with suppress(ValueError):
        float(cell)
        return True
    return False


def _looks_like_name(cell: str, values: Sequence[str]) -> bool:
    """Say whether a cell is a word that names columns, or any word above values of several words each."""
    if not NAME.fullmatch(cell.strip()):
        return False
    telling = any(part in cell.lower() for part in TEXT_NAMES + LABEL_NAMES)
    return telling or all(len(value.split()) > 1 for value in values if value.strip())
