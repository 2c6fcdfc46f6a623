"""Scores of answers, and the one that a task selects by: of one class a row, or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Metric = Literal[
    "accuracy",
    "balanced_accuracy",
    "f1",
    "macro_f1",
    "weighted_f1",
    "micro_f1",
    "accuracy_and_f1",
    "matthews",
    "subset_accuracy",
    "mean_average_precision",
    "label_ranking",
]
ClassIndices = Sequence[int] | NDArray[Any]
# as it stands after 'dev' or 'test' in the title of a column
TITLES: Mapping[Metric, str] = MappingProxyType(
    {
        "accuracy": "accuracy",
        "balanced_accuracy": "balanced accuracy",
        "f1": "F1",
        "macro_f1": "macro F1",
        "weighted_f1": "weighted F1",
        "micro_f1": "micro F1",
        "accuracy_and_f1": "mean of accuracy and F1",
        "matthews": "Matthews correlation",
        "subset_accuracy": "subset accuracy",
        "mean_average_precision": "mean average precision",
        "label_ranking": "label ranking average precision",
    }
)
# F1 of the second class, whose name says nothing where there are more
OF_TWO_CLASSES: tuple[Metric, ...] = ("f1", "accuracy_and_f1")
_OF_LABEL_SETS_ALONE: tuple[Metric, ...] = ("subset_accuracy", "mean_average_precision", "label_ranking")
OF_LABEL_SETS: tuple[Metric, ...] = ("macro_f1", "micro_f1", "weighted_f1", *_OF_LABEL_SETS_ALONE)
OF_LABELS: tuple[Metric, ...] = tuple(name for name in TITLES if name not in _OF_LABEL_SETS_ALONE)
# shares of the rows that are all right
SHARES_OF_ROWS: tuple[Metric, ...] = ("accuracy", "subset_accuracy")

# what metrics.json has of test beside accuracy; the last three of several labels a row alone
BESIDE: tuple[Metric, ...] = (
    "macro_f1",
    "weighted_f1",
    "micro_f1",
    "mean_average_precision",
    "label_ranking",
)


def scores_beside(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return a run's scores of test beside accuracy and the task's metric, by their titles.

    Args:
        metrics: as metrics.json has them; older files have `test_f1` alone.
    """
    values = {TITLES[name]: metrics.get(f"test_{name}") for name in BESIDE if name != metrics["metric"]}
    given = {title: float(value) for title, value in values.items() if value is not None}
    if metrics["test_f1"] in (metrics["test_metric"], metrics.get("test_macro_f1")):
        return given
    return {TITLES["f1"]: float(metrics["test_f1"]), **given}


def score(metric: Metric, labels: ClassIndices, predictions: ClassIndices) -> dict[str, float]:
    """Score answers of one class a row, in fractions.

    Args:
        metric: the task's metric, of `OF_LABELS`.
        labels: class indices, one a row.
        predictions: class indices, one a row.

    Returns:
        `accuracy`, `macro_f1` and `weighted_f1` (by the classes' rows); `f1`, that of class 1 where the
        metric is f1 or accuracy_and_f1 and all answers are 0 or 1, for a label beyond is one that was not
        fitted, macro otherwise; the metric by its name; and `metric`, its value again (accuracy_and_f1 is the
        mean of the two).
    """
    # takes a second to load, for which reading a config need not wait
    from sklearn.metrics import (  # noqa: PLC0415
        accuracy_score,
        balanced_accuracy_score,
        f1_score,
        matthews_corrcoef,
    )

    def f1(average: str) -> float:
        return float(f1_score(labels, predictions, average=average, zero_division=0.0))

    scores = {
        "accuracy": float(accuracy_score(labels, predictions)),
        "macro_f1": f1("macro"),
        "weighted_f1": f1("weighted"),
    }
    scores["f1"] = scores["macro_f1"]
    if metric in OF_TWO_CLASSES and set(predictions) <= {0, 1}:
        second = [np.asarray(classes) == 1 for classes in (labels, predictions)]
        scores["f1"] = float(f1_score(*second, zero_division=0.0))
    if metric == "balanced_accuracy":
        scores[metric] = float(balanced_accuracy_score(labels, predictions))
    elif metric == "micro_f1":
        scores[metric] = f1("micro")
    elif metric == "matthews":
        scores[metric] = float(matthews_corrcoef(labels, predictions))
    elif metric == "accuracy_and_f1":
        scores[metric] = (scores["accuracy"] + scores["f1"]) / 2
    scores["metric"] = scores[metric]
    return scores


def score_sets(
    metric: Metric, labels: NDArray[Any], predictions: NDArray[Any], probabilities: NDArray[Any]
) -> dict[str, float]:
    """Score answers of any number of classes a row, in fractions.

    Args:
        metric: the task's metric, of `OF_LABEL_SETS`.
        labels: 1 for a row's classes, 0 for others, [N, C].
        predictions: likewise, [N, C].
        probabilities: of each class, [N, C].

    Returns:
        `accuracy` and `subset_accuracy`, the share of rows whose classes are all right; `macro_f1` (also as
        `f1`), `weighted_f1` and `micro_f1`; `mean_average_precision`, the mean over the classes that occur;
        `label_ranking`, the mean share of right classes among those at least as probable; and `metric`, the
        value that selects.
    """
    from sklearn.metrics import (  # noqa: PLC0415
        accuracy_score,
        average_precision_score,
        f1_score,
        label_ranking_average_precision_score,
    )

    def f1(average: str) -> float:
        return float(f1_score(labels, predictions, average=average, zero_division=0.0))

    occurs = labels.any(0)
    exact, macro = float(accuracy_score(labels, predictions)), f1("macro")
    precision = average_precision_score(labels[:, occurs], probabilities[:, occurs]) if occurs.any() else 0.0
    scores = {
        "accuracy": exact,
        "subset_accuracy": exact,
        "f1": macro,
        "macro_f1": macro,
        "weighted_f1": f1("weighted"),
        "micro_f1": f1("micro"),
        "mean_average_precision": float(precision),
        "label_ranking": float(label_ranking_average_precision_score(labels, probabilities)),
    }
    scores["metric"] = scores[metric]
    return scores
