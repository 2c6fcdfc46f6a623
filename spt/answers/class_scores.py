"""How each class was told from the others: precision, recall and F1, and the rows that say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support


@dataclass(frozen=True)
class ClassScores:
    """Hold how a class was told from others: precision, recall and F1, in fractions, and its rows."""

    label: str
    precision: float
    recall: float
    f1: float
    rows: int


def occurring(labels: NDArray[Any], predictions: NDArray[Any]) -> NDArray[np.int64]:
    """Return the indices of the classes that a row has or was answered, in class order.

    Args:
        labels: class indices [N], or 1 for a row's classes and 0 for others [N, C].
        predictions: likewise.
    """
    if labels.ndim == 2:
        return np.flatnonzero((labels | predictions).any(0))
    return np.union1d(labels, predictions)


def class_scores(
    labels: NDArray[Any], predictions: NDArray[Any], names: Sequence[str]
) -> tuple[ClassScores, ...]:
    """Score each class that occurs, in class order.

    Args:
        labels: as of `occurring`, as predictions.
        predictions: of the same rows.
        names: of all classes, in class order.
    """
    shown = occurring(labels, predictions)
    columns = precision_recall_fscore_support(
        labels, predictions, labels=shown, average=None, zero_division=0.0
    )
    return tuple(
        ClassScores(names[number], float(precision), float(recall), float(f1), int(rows))
        for number, precision, recall, f1, rows in zip(shown.tolist(), *columns, strict=True)
    )
