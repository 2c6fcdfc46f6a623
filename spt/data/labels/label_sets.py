"""Labels of rows as sets of classes, of which one label is the simplest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# a class index, or the indices of a row's classes
RowLabel = int | Sequence[int]


def multi_hot(sets: Sequence[Sequence[int]], total: int) -> NDArray[np.float32]:
    """Return 1 for the classes of each row and 0 for others, [N, C]."""
    hot = np.zeros((len(sets), total), dtype=np.float32)
    for row, classes in enumerate(sets):
        hot[row, list(classes)] = 1
    return hot


def row_labels_of(labels: NDArray[Any]) -> list[RowLabel]:
    """Return class indices [N] as they are, and the indices of each row's classes for [N, C]."""
    if labels.ndim == 1:
        return list(labels.tolist())
    return [tuple(row.nonzero()[0].tolist()) for row in labels]


def class_set(label: RowLabel) -> tuple[int, ...]:
    """Return the indices of a row's classes."""
    return (label,) if isinstance(label, int) else tuple(label)


def rows_by_class(labels: Sequence[RowLabel]) -> Counter[int]:
    """Count the rows of each class that occurs."""
    return Counter(index for label in labels for index in class_set(label))
