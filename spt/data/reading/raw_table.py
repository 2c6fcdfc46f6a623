"""The rows of a split as their source gives them."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
from datasets import ClassLabel, Dataset
from datasets.exceptions import DatasetsError

# what the libraries that read rows raise for a source that is not as it should be
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    RuntimeError,
    ImportError,
    csv.Error,
    pa.ArrowException,
    DatasetsError,
)


@dataclass(frozen=True)
class RawTable:
    """Hold values of any type by column, which nothing has judged or converted yet.

    Attributes:
        columns: the values of each column that was read, as many in each.
        classes: of columns that hold indices of named classes, or lists of such, the names.
        unread: names of further columns.
        source: the file that they come from; empty for others.
        numbers: of the rows in their source, from 0, where some were left out; None for all, in order.
    """

    columns: Mapping[str, Sequence[Any]]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    source: str = ""
    numbers: Sequence[int] | None = None

    @classmethod
    def of(cls, data: Dataset) -> RawTable:
        """Take the columns of a data set, which are read when they are used."""
        # a list of labels has the feature of one inside it
        features = {name: getattr(item, "feature", item) for name, item in data.features.items()}
        classes = {
            name: tuple(feature.names)
            for name, feature in features.items()
            if isinstance(feature, ClassLabel)
        }
        return cls({name: data[name] for name in data.column_names}, classes)

    def __len__(self) -> int:
        """Count the rows."""
        return len(next(iter(self.columns.values()), ()))

    @property
    def names(self) -> list[str]:
        """Return the names of all columns that there are."""
        return [*self.columns, *self.unread]

    @property
    def rows(self) -> Sequence[int]:
        """Return the number of each row in its source, from 0."""
        return range(len(self)) if self.numbers is None else self.numbers

    @property
    def prefix(self) -> str:
        """Return how a line about the table begins: with its file, if it has one."""
        return f"{self.source}: " if self.source else ""

    def where(self, what: str, split: str) -> str:
        """Begin an error with the file and what it is about: "train.csv: The text column 'text' of train"."""
        return f"{self.prefix}{what} of {split}"

    def without(self, positions: Collection[int]) -> RawTable:
        """Return the table without some of its rows, by their positions in it."""
        left_out = set(positions)
        rest = [row for row in range(len(self)) if row not in left_out]
        columns = {name: [values[row] for row in rest] for name, values in self._whole_columns()}
        return replace(self, columns=columns, numbers=[self.rows[row] for row in rest])

    def _whole_columns(self) -> Iterator[tuple[str, Sequence[Any]]]:
        return ((name, values[:]) for name, values in self.columns.items())
