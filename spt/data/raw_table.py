"""The rows of a split as their source gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import ClassLabel, Dataset


@dataclass(frozen=True)
class RawTable:
    """Values of any type by column, which nothing has judged or converted yet.

    Attributes:
        columns: the values of each column that was read, as many in each.
        classes: of columns that hold indices of named classes, the names.
        unread: names of further columns.
    """

    columns: Mapping[str, Sequence[Any]]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Dataset) -> RawTable:
        """Take the columns of a data set, which are read when they are used."""
        features = data.features.items()
        classes = {
            name: tuple(feature.names) for name, feature in features if isinstance(feature, ClassLabel)
        }
        return cls({name: data[name] for name in data.column_names}, classes)

    def __len__(self) -> int:
        """Count the rows."""
        return len(next(iter(self.columns.values()), ()))

    @property
    def names(self) -> list[str]:
        """All columns that there are."""
        return [*self.columns, *self.unread]
