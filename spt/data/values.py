"""What a text and a label may be: one rule for training, evaluation, prediction and serving."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from spt.errors import InputError
from spt.problems import Problems
from spt.tasks import LONGEST_LABEL

SHOWN = 5
ROWS_SHOWN = 20


def clean_texts(values: Sequence[Any], where: str, rows: Sequence[int] | None = None) -> list[str]:
    """Return texts as every model reads them: without the spaces around them.

    Args:
        values: one a row.
        where: names the column in errors.
        rows: numbers of the rows for errors, from 0; None: all, in order.

    Raises:
        InputError: naming the rows, if a text is missing or empty, is no text, or cannot be written as UTF-8.
    """
    check = _Check(where, values, rows or range(len(values)))
    check.find(is_missing, "is empty in", "Fill or remove these rows.")
    check.find_kinds(lambda value: isinstance(value, str), "one text a row; write numbers as text")
    check.find(_is_broken, "holds half of a surrogate pair in", "Mend or remove these rows.")
    check.problems.refuse()
    return [value.strip() for value in values]


def clean_labels(values: Sequence[Any], where: str, rows: Sequence[int] | None = None) -> list[str]:
    """Return labels as class names: text without the spaces around it, whole numbers without a fraction.

    Args:
        values: text, numbers, or true and false, one a row.
        where: names the column in errors.
        rows: numbers of the rows for errors, from 0; None: all, in order.

    Raises:
        InputError: naming the rows, if a label is missing, is something else, or is too long for a name.
    """
    values = [scalar(value) for value in values]
    check = _Check(where, values, rows or range(len(values)))
    check.find(is_missing, "is empty in", "Fill or remove these rows.")
    several = any(isinstance(value, list | tuple) for value in values)
    advice = "; for several labels a row set task.multi_label to true" if several else ""
    check.find_kinds(_is_label, f"one label a row, a text or a finite number{advice}")
    too_long = f"holds more than {LONGEST_LABEL} characters in"
    check.find(_is_too_long, too_long, "A label is a short name; check the column.")
    check.find(_is_broken, "holds half of a surrogate pair in", "Mend or remove these rows.")
    check.problems.refuse()
    return [class_name(value) for value in values]


def class_name(label: Any) -> str:
    """Return the name of a label's class, as `clean_labels` has it, also of what that refuses."""
    value = scalar(label)
    is_whole_number = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole_number else value).strip()


def as_list(values: Any, what: str) -> list[Any]:
    """Return the values of a list, an array or a Series; one text is a list of one.

    Raises:
        InputError: for what has no items, none in an order of rows, or splits.
    """
    refuse_splits(values, what)
    values = python_values(values)
    if isinstance(values, str):
        return [values]
    if not has_rows(values):
        raise InputError(
            f"{what} is of type {type(values).__name__}, but must be a list, an array or a Series with one "
            "value a row."
        )
    return list(values)


def python_values(values: Any) -> Any:
    """Return the values of an array or a Series as Python's own; what has columns or is neither as it is."""
    if not hasattr(values, "columns"):
        for method in ("tolist", "to_pylist"):
            if hasattr(values, method):
                return getattr(values, method)()
    return values


def scalar(value: Any) -> Any:
    """Return a number of numpy or torch as Python's own, and anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def columns_of(rows: Any, what: str) -> dict[str, Any] | None:
    """Return the columns of rows that have some; None for others.

    Args:
        rows: of any kind.
        what: names the rows in errors, in the plural.

    Raises:
        InputError: as `refuse_splits`, or for two columns of one name.
    """
    refuse_splits(rows, what)
    names = rows if isinstance(rows, Mapping) else getattr(rows, "column_names", None)
    if names is None and hasattr(rows, "to_dict"):
        names = getattr(rows, "columns", None)
    if names is None:
        return None
    refuse_repeated([str(name) for name in names], f"{what} have")
    return {str(name): rows[name] for name in names}


def refuse_repeated(names: Sequence[str], owner_has: str) -> None:
    """Refuse columns of one name, of which all but one would be lost.

    Args:
        names: of all columns.
        owner_has: begins the error, as "The rows of train have".

    Raises:
        InputError: naming them.
    """
    if repeated := [name for name, number in Counter(names).items() if number > 1]:
        raise InputError(
            f"{owner_has} several columns of the name {some(map(repr, repeated))}: {', '.join(names)[:200]}. "
            "Rename or remove all but one of them."
        )


def refuse_splits(rows: Any, what: str) -> None:
    """Refuse rows of several splits, as `datasets.load_dataset` returns them.

    Args:
        rows: of any kind.
        what: names the rows in the error.

    Raises:
        InputError: naming the splits.
    """
    # told by its values, as datasets need not be loaded
    if isinstance(rows, Mapping) and rows and all(hasattr(each, "column_names") for each in rows.values()):
        first = next(iter(rows))
        raise InputError(
            f"{what} came as splits ({some(map(str, rows))}). Give one of them, as data[{first!r}]."
        )


def has_rows(values: Any) -> bool:
    """Say whether something has one value a row, in an order, as a table, a mapping or a set has not."""
    unordered = isinstance(values, (Mapping, AbstractSet, bytes, bytearray)) or hasattr(values, "columns")
    return isinstance(values, Iterable) and not unordered


def is_utf8(text: str) -> bool:
    """Say whether a text can be written as UTF-8, which half of a surrogate pair cannot."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_missing(value: Any) -> bool:
    """Say whether a cell holds nothing, as every kind of table writes that."""
    if isinstance(value, str):
        return not value or value.isspace()
    value = scalar(value)
    if isinstance(value, float):
        return math.isnan(value)
    # pandas has two more, of which one cannot be compared
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def rows_shown(rows: Sequence[int]) -> str:
    """Return rows counted from 1, without the header, as a phrase: the first of them, and how many."""
    numbers = some((str(row + 1) for row in rows), ROWS_SHOWN)
    return f"row {numbers}" if len(rows) == 1 else f"{len(rows)} rows: {numbers}"


def some(values: Iterable[str], shown: int = SHOWN) -> str:
    """Return the first few of the values, as a phrase."""
    listed = list(values)
    return ", ".join(listed[:shown]) + (" …" if len(listed) > shown else "")


@dataclass(frozen=True)
class _Check:
    """Finds the rows of a column that are wrong, and the first thing that is wrong with each."""

    where: str
    values: Sequence[Any]
    rows: Sequence[int]
    problems: Problems = field(default_factory=lambda: Problems("the data"))
    known: set[int] = field(default_factory=set)

    def find(self, is_bad: Callable[[Any], bool], problem: str, advice: str) -> None:
        if bad := self._bad(is_bad):
            self.problems.add(f"{self.where} {problem} {self._shown(bad)}. {advice}")

    def find_kinds(self, is_allowed: Callable[[Any], bool], allowed: str) -> None:
        if bad := self._bad(lambda value: not is_allowed(value)):
            # the type and not the value, which may be nested too deeply to be shown
            kinds = some(dict.fromkeys(_kind(self.values[number]) for number in bad))
            self.problems.add(f"{self.where} holds {kinds} in {self._shown(bad)}, but must hold {allowed}.")

    def _bad(self, is_bad: Callable[[Any], bool]) -> list[int]:
        bad = [
            number for number, value in enumerate(self.values) if number not in self.known and is_bad(value)
        ]
        self.known.update(bad)
        return bad

    def _shown(self, numbers: Sequence[int]) -> str:
        return rows_shown([self.rows[number] for number in numbers])


def _kind(value: Any) -> str:
    infinite = isinstance(value, float) and math.isinf(value)
    return f"{value} (float)" if infinite else f"a value of type {type(value).__name__}"


def _is_label(value: Any) -> bool:
    return isinstance(value, (str, Integral)) or (isinstance(value, float) and math.isfinite(value))


def _is_too_long(value: Any) -> bool:
    if isinstance(value, str):
        return len(value.strip()) > LONGEST_LABEL
    return bool(abs(value) >= 10**LONGEST_LABEL)


def _is_broken(value: Any) -> bool:
    return isinstance(value, str) and not is_utf8(value)
