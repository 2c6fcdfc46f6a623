"""Which column of a file is the text, the second text, the label, an id or a date: a guess, by its values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from experiments.own_data.header import LABEL_NAMES, TEXT_NAMES
from experiments.own_data.survey import Column, Survey
from spt.errors import InputError

Role = Literal["text", "second text", "label", "id", "date", "empty", "not used"]
PAIRS = (
    ("text", "text_pair"),
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("question", "sentence"),
    ("question", "answer"),
    ("query", "document"),
)
DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}( .*)?")
MOST = 0.9
LONGEST_LABEL = 60
MOST_CLASSES = 200
# rows a class on average, below which a column is no label
LEAST_ROWS = 3


@dataclass(frozen=True)
class Roles:
    """What each column is taken for.

    Attributes:
        text: name of the column.
        text_pair: of the second text; None where a row has one.
        label: name of the column.
        of_columns: name -> role of every column.
        other_labels: names of columns that could be the label as well.
    """

    text: str
    text_pair: str | None
    label: str
    of_columns: dict[str, Role]
    other_labels: tuple[str, ...]


def guess_roles(file: Survey, text: str | None = None, label: str | None = None) -> Roles:
    """Guess the role of each column by its values and its name.

    Args:
        file: as `survey` saw it.
        text: name of the column of the text, if it is known.
        label: of the label, likewise.

    Raises:
        InputError: if no column looks like a text, or none like a label.
    """
    columns = {column.name: column for column in file.columns}
    roles: dict[str, Role] = {name: _plain_role(column) for name, column in columns.items()}
    free = [column for name, column in columns.items() if roles[name] == "not used"]
    candidates = [column for column in free if _may_be_label(column, file.rows)]
    pair = _known_pair({column.name for column in free} - {label}, text)
    if text is None:
        others = [column for column in free if column.name != label]
        text = pair[0] if pair else _best_text(others, candidates, file)
    second = pair[1] if pair else None
    if label is None:
        label = _best_label([column for column in candidates if column.name not in (text, second)], file)
    roles[text], roles[label] = "text", "label"
    if second is not None:
        roles[second] = "second text"
    other_labels = (column.name for column in candidates if column.name not in (text, label, second))
    return Roles(text, second, label, roles, tuple(other_labels))


def _plain_role(column: Column) -> Role:
    """Return what a column is by itself; 'not used' where it may be a text or a label."""
    if not column.texts:
        return "empty"
    if sum(bool(DATE.fullmatch(text)) for text in column.texts) >= MOST * len(column.texts):
        return "date"
    distinct = len(column.counts) == len(column.texts) > 1 and column.label_lists is None
    if distinct and not any(re.search(r"\s", text) for text in column.texts):
        return "id"
    return "not used"


def _may_be_label(column: Column, rows: int) -> bool:
    classes = len(column.counts)
    return (
        2 <= classes <= min(MOST_CLASSES, max(2, rows / LEAST_ROWS))
        and max(map(len, column.counts)) <= LONGEST_LABEL
    )


def _best_text(free: list[Column], labels: list[Column], file: Survey) -> str:
    """Return the name of a column that is called a text, or else of the longest."""
    texts = [column for column in free if column not in labels] or free
    if not texts:
        raise InputError(f"No column of '{file.path}' looks like a text. {_choose(file)}")
    return min(texts, key=lambda column: (_rank(column.name, TEXT_NAMES), -column.mean_length)).name


def _best_label(candidates: list[Column], file: Survey) -> str:
    """Return the name of a column that is called a label, or else of the last."""
    if not candidates:
        raise InputError(f"No column of '{file.path}' looks like a label. {_choose(file)}")
    return min(reversed(candidates), key=lambda column: _rank(column.name, LABEL_NAMES)).name


def _rank(name: str, telling: Iterable[str]) -> int:
    """Return the place of the first telling part that a name has; the number of them if it has none."""
    parts = list(telling)
    return next((place for place, part in enumerate(parts) if part in name.lower()), len(parts))


def _known_pair(names: AbstractSet[str], text: str | None) -> tuple[str, str] | None:
    """Return two columns that usually are the texts of a pair, if both are there; the first may be known."""
    pairs = (pair for pair in PAIRS if names >= set(pair) and text in (None, pair[0]))
    return next(pairs, None)


def _choose(file: Survey) -> str:
    shown = "; ".join(
        f"{column.name} ({len(column.counts)} values, as '{next(iter(column.counts), '')[:30]}')"
        for column in file.columns
    )
    return f"Columns: {shown}. Name the columns as task.text=COLUMN task.label=COLUMN."
