"""Scores of predictions, and the one that a task selects by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from numpy.typing import NDArray

Metric = Literal["accuracy", "f1", "accuracy_and_f1", "matthews"]
ClassIndices = Sequence[int] | NDArray[Any]
# as it stands after 'dev' or 'test' in the title of a column
TITLES: Mapping[Metric, str] = MappingProxyType(
    {
        "accuracy": "accuracy",
        "f1": "F1",
        "accuracy_and_f1": "mean of accuracy and F1",
        "matthews": "Matthews correlation",
    }
)


def score(metric: Metric, labels: ClassIndices, predictions: ClassIndices) -> dict[str, float]:
    """Score predictions, in fractions.

    Args:
        metric: the task's metric.
        labels: class indices, one a row.
        predictions: class indices, one a row.

    Returns:
        `accuracy`; `f1`, binary on class 1 where the metric is f1 or accuracy_and_f1 and there are only
        classes 0 and 1, macro otherwise; `matthews` where that is the metric; and `metric`, the value that
        selects (accuracy_and_f1 is the mean of the two).
    """
    # takes a second to load, for which reading a config need not wait
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef  # noqa: PLC0415

    binary = metric in ("f1", "accuracy_and_f1") and set(labels) | set(predictions) <= {0, 1}
    average = "binary" if binary else "macro"
    scores = {
        "accuracy": float(accuracy_score(labels, predictions)),
        "f1": float(f1_score(labels, predictions, average=average, zero_division=0.0)),
    }
    if metric == "matthews":
        scores["matthews"] = float(matthews_corrcoef(labels, predictions))
    mean = (scores["accuracy"] + scores["f1"]) / 2
    scores["metric"] = mean if metric == "accuracy_and_f1" else scores[metric]
    return scores
