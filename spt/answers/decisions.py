"""From logits to answers: one class a row, or, in tasks of several labels, each class by its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spt.metrics import score, score_sets
from spt.tasks import Task

if TYPE_CHECKING:
    # configurations are read before torch is loaded
    from torch import Tensor

# the threshold of a class of which dev has no row
EVEN = 0.5


def class_probabilities(logits: Tensor, task: Task) -> Tensor:
    """Turn logits [..., C] into probabilities: over the classes together, or of each class for itself.

    The latter are of 64 bits and on the CPU, for with 32 a sure class has no odds: its probability is 1.
    """
    return logits.cpu().double().sigmoid() if task.multi_label else logits.float().softmax(-1)


def decide(task: Task, probabilities: NDArray[Any], thresholds: Sequence[float] | None) -> NDArray[Any]:
    """Answer rows by their class probabilities [N, C].

    Args:
        task: says whether a row has one label or any number.
        probabilities: of each class.
        thresholds: of each class, where a row may have several; None for one half each.

    Returns:
        The likeliest class [N], or 1 for the classes that reach their thresholds and 0 for others [N, C].
    """
    if not task.multi_label:
        best: NDArray[Any] = probabilities.argmax(-1)
        return best
    limits = np.asarray(thresholds if thresholds is not None else EVEN, dtype=np.float64)
    return (probabilities >= limits).astype(np.int64)


def best_thresholds(labels: NDArray[Any], probabilities: NDArray[Any]) -> tuple[float, ...]:
    """Choose each class's threshold so that its F1 on these rows is highest.

    A threshold lies half-way between two probabilities that occur; of equally good ones the nearest to one
    half is taken, and one half for a class without a row.

    Args:
        labels: 1 for a row's classes, 0 for others, [N, C].
        probabilities: of each class, [N, C].
    """
    return tuple(
        _best_threshold(labels[:, column], probabilities[:, column]) for column in range(labels.shape[1])
    )


def dev_thresholds(task: Task, labels: NDArray[Any], probabilities: NDArray[Any]) -> tuple[float, ...] | None:
    """Return what `best_thresholds` chooses; None where a row has one label."""
    return best_thresholds(labels, probabilities) if task.multi_label else None


def _best_threshold(labels: NDArray[Any], probabilities: NDArray[Any]) -> float:
    if not labels.any():
        return EVEN
    order = np.argsort(-probabilities, kind="stable")
    falling = probabilities[order].astype(np.float64)
    below = np.append(falling[1:], 0.0)
    # rows of equal probability are answered alike
    cuts = np.flatnonzero(falling > below)
    hits, answered = np.cumsum(labels[order] > 0)[cuts], cuts + 1
    scores = 2 * hits / (answered + (labels > 0).sum())
    limits = ((falling + below) / 2)[cuts][scores == scores.max()]
    return float(limits[np.abs(limits - EVEN).argmin()])


def score_answers(
    task: Task, labels: NDArray[Any], probabilities: NDArray[Any], thresholds: Sequence[float] | None
) -> dict[str, float]:
    """Score answers by the task's metric and those beside it; see `score` and `score_sets`.

    Args:
        task: whose metric is `metric` in what is returned.
        labels: class indices [N], or 1 for a row's classes and 0 for others [N, C].
        probabilities: of each class, [N, C].
        thresholds: as of `decide`.
    """
    predictions = decide(task, probabilities, thresholds)
    if task.multi_label:
        return score_sets(task.metric, labels.astype(np.int64), predictions, probabilities)
    return score(task.metric, labels, predictions)


def score_dev(task: Task, labels: NDArray[Any], probabilities: NDArray[Any]) -> dict[str, float]:
    """Score the rows that select: thresholds are chosen on them too, as those of the saved prompt are."""
    return score_answers(task, labels, probabilities, dev_thresholds(task, labels, probabilities))
