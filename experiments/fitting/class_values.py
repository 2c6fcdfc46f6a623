"""The classes of a prompt, and what the user calls each: numbers and truth values stay what they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spt.data.labels.label_sets import multi_hot
from spt.data.values import clean_labels, rows_shown, scalar, some
from spt.errors import InputError

Value = bool | int | float | str


@dataclass(frozen=True)
class ClassValues:
    """Hold the classes of a prompt in the order of its probabilities.

    Attributes:
        names: of the classes.
        values: what the user calls them, all of one type.
        dtype: of the user's labels, where they were an array; None leaves it to numpy.
        indicator: whether the user's labels have a column of 0 and 1 for each class, in the order of `names`.

    Raises:
        ValueError: if a class has no value of its own, or the values are not of the type.
    """

    names: tuple[str, ...]
    values: tuple[Value, ...]
    dtype: str | None = None
    indicator: bool = False

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.values) == len(set(self.values)):
            raise ValueError(f"{len(self.names)} classes have {len(set(self.values))} different values")
        try:
            np.asarray(self.values, dtype=self.dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"the values {some(map(repr, self.values))} are not {self.dtype!r}") from error

    @classmethod
    def of(cls, labels: Sequence[Any], names: Sequence[str], dtype: str | None = None) -> ClassValues:
        """Find out what the user calls each class.

        Args:
            labels: of the training rows: names of classes, or positions where no name is a number.
            names: of the classes, in the prompt's order.
            dtype: of the labels.

        Raises:
            InputError: for labels of several types, numbers that are no classes, or classes that are no
                different values of the labels' type.
        """
        kind = label_type(labels)
        value_of = dict(zip(clean_labels(labels, "The list of labels"), labels, strict=True))
        # a row that was left out for its text may have a label that is no class
        try:
            if value_of.keys().isdisjoint(names):
                values = tuple(kind(position) for position in range(len(names)))
            else:
                values = tuple(
                    name if kind is str else _as_kind(kind, value_of.get(name, name)) for name in names
                )
        except ValueError as error:
            raise InputError(
                f"task.labels names classes that are no {'truth values' if kind is bool else 'numbers'} "
                f"({some(map(repr, names))}), but the labels are. Write the labels as text."
            ) from error
        try:
            return cls(tuple(names), values, dtype)
        except ValueError as error:
            of_type = kind.__name__ if dtype is None else np.dtype(dtype).name
            raise InputError(
                f"The classes are {some(map(repr, names))}, but the labels are of type {of_type}, which has "
                "no value of its own for each. Give the labels as text, or as an array of a wider type."
            ) from error

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Return the positions of the classes when their values are sorted, as in scikit-learn.

        Classes that have columns stay in the order of these.
        """
        if self.indicator:
            return np.arange(len(self.names))
        return np.argsort(np.asarray(self.values), kind="stable")

    @property
    def sorted(self) -> NDArray[Any]:
        """Return the values in their order, [C]."""
        return np.asarray(self.values, dtype=self.dtype)[self.order]

    def of_columns(self, labels: Sequence[str] | None) -> tuple[Value, ...]:
        """Return the values in the order that columns of 0 and 1 have them in.

        Args:
            labels: of the task, whose order it is; None leaves that of `sorted`.
        """
        return self.values if labels else tuple(self.values[position] for position in self.order)

    def values_of(self, answers: Sequence[str | None]) -> NDArray[Any]:
        """Return what the user calls the labels of some answers, [N]; None where a text has none."""
        values = [None if name is None else self._value_of[name] for name in answers]
        return np.array(values, dtype=object if None in values else np.asarray(self.values, self.dtype).dtype)

    def value_sets_of(self, answers: Sequence[Sequence[str]]) -> NDArray[Any]:
        """Return what the user calls the labels of answers with any number of them, as tuples, [N].

        Where the user's labels have a column for each class, answers have 1 there and 0 elsewhere, [N, C].
        """
        if self.indicator:
            numbers = [[self.names.index(name) for name in names] for names in answers]
            return multi_hot(numbers, len(self.names)).astype(np.int64)
        sets = np.empty(len(answers), dtype=object)
        sets[:] = [tuple(self._value_of[name] for name in names) for names in answers]
        return sets

    def numbers_of(
        self, labels: Sequence[Sequence[Any]], row_numbers: Sequence[int] | None = None
    ) -> tuple[list[list[int]], list[Value]]:
        """Return the numbers of the labels of each row, and the labels that are no classes.

        Classes have their place in `names`, and labels that are none the numbers after those.

        Args:
            labels: of each row, any number; texts, numbers or truth values.
            row_numbers: of the rows for errors, from 0; None: all, in order.

        Raises:
            InputError: naming the rows, for labels of another type than the classes.
        """
        rows = [[_clean(label) for label in row] for row in labels]
        wrong = {
            row: others
            for row, each in zip(row_numbers or range(len(rows)), rows, strict=True)
            if (others := [repr(label) for label in each if not self._may_be_class(label)])
        }
        if wrong:
            shown = some(dict.fromkeys(label for others in wrong.values() for label in others))
            raise InputError(
                f"The label {shown} ({rows_shown(list(wrong))}) is of another type than the classes that "
                f"were fitted: {some(map(repr, self.values))}. Write labels as those, or remove these rows."
            )
        numbers = {value: number for number, value in enumerate(self.values)}
        for label in chain.from_iterable(rows):
            numbers.setdefault(label, len(numbers))
        return [[numbers[label] for label in row] for row in rows], list(numbers)[len(self.values) :]

    def _may_be_class(self, label: Value) -> bool:
        """Say whether a label is a class or of their type, as whole numbers with and without a point are."""
        if label in self.values:
            # True is 1, too
            return True
        kinds = {_type_of(label), _type_of(self.values[0])}
        is_whole = not isinstance(label, float) or label.is_integer()
        return is_whole and (len(kinds) == 1 or kinds == {int, float})

    @cached_property
    def _value_of(self) -> dict[str, Value]:
        return dict(zip(self.names, self.values, strict=True))


def label_type(labels: Sequence[Any]) -> type[Value]:
    """Return the one type that labels have, whole numbers among fractions being fractions.

    Raises:
        InputError: for labels of several types, or fractions, which a regression has.
    """
    labels = [scalar(label) for label in labels]
    types = {_type_of(label): row for row, label in reversed(list(enumerate(labels)))}
    if len(types) > 1 and types.keys() != {int, float}:
        shown = ", ".join(f"{kind.__name__} (row {row + 1})" for kind, row in types.items())
        raise InputError(
            f"The labels are of several types: {shown}. Write all of them as text, or as numbers."
        )
    if fractions := [row for row, label in enumerate(labels) if isinstance(label, float) and label % 1]:
        raise InputError(
            f"Unknown label type: continuous. Labels are classes, but there are numbers with a fraction in "
            f"{rows_shown(fractions)}. Write classes as text or whole numbers."
        )
    return float if float in types else next(iter(types))


def _as_kind(kind: type[Value], value: Any) -> Value:
    """Return a label, or the name of a class that no label has, as a value of a kind.

    Raises:
        ValueError: for a name that is none.
    """
    if kind is bool and isinstance(value, str):
        # any name would be true
        raise ValueError(value)
    return kind(value)


def _clean(label: Any) -> Value:
    """Return a label as it is compared: without what numpy, torch or spaces add."""
    value: Value = scalar(label)
    return value.strip() if isinstance(value, str) else value


def _type_of(label: Any) -> type[Value]:
    if isinstance(label, str):
        return str
    if isinstance(label, bool):
        return bool
    return int if isinstance(label, Integral) else float
