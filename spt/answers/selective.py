"""Answering only where a model is sure: thresholds on the likeliest class, and what they cost in coverage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# shares of the surest rows whose accuracy is told
COVERAGES = (0.5, 0.8, 0.9)


@dataclass(frozen=True)
class AnsweredRows:
    """Hold what a threshold leaves unanswered.

    Attributes:
        coverage: share of the rows that are answered, in [0, 1].
        accuracy: of those; None where there is none.
    """

    coverage: float
    accuracy: float | None


class _Ranked(NamedTuple):
    """Hold the probability of each row's likeliest class and whether it is right, the surest row first."""

    confidence: NDArray[Any]
    right: NDArray[Any]


def answered(probabilities: NDArray[Any], labels: NDArray[Any], threshold: float) -> AnsweredRows:
    """Score the rows whose likeliest class reaches a threshold; the others count as unanswered.

    Args:
        probabilities: [N, C].
        labels: class indices, [N].
        threshold: in [0, 1].
    """
    sure = probabilities.max(-1) >= threshold
    right = (probabilities.argmax(-1) == labels)[sure]
    return AnsweredRows(float(sure.mean()), float(right.mean()) if len(right) else None)


def selective_accuracies(probabilities: NDArray[Any], labels: NDArray[Any]) -> Mapping[str, float]:
    """Return the accuracy of the surest 50, 80 and 90 % of the rows, by the share as text."""
    right = _ranked(probabilities, labels).right
    return {str(share): float(right[: _count(share, len(right))].mean()) for share in COVERAGES}


def threshold_for_coverage(probabilities: NDArray[Any], labels: NDArray[Any], coverage: float) -> float:
    """Find a threshold at which a share of the rows is answered, half-way to the next less sure row.

    Args:
        probabilities: of held-out rows, [N, C].
        labels: class indices, [N].
        coverage: in (0, 1].
    """
    confidence = _ranked(probabilities, labels).confidence
    return _half_way(confidence, _count(coverage, len(confidence)) - 1, probabilities.shape[1])


def threshold_for_accuracy(probabilities: NDArray[Any], labels: NDArray[Any], accuracy: float) -> float:
    """Find the lowest threshold at which the answered rows are right this often, half-way to the next row.

    Where no threshold reaches the accuracy, it is the one of the most accurate answers.

    Args:
        probabilities: of held-out rows, [N, C].
        labels: class indices, [N].
        accuracy: in (0, 1].
    """
    confidence, right = _ranked(probabilities, labels)
    accuracies = right.cumsum() / np.arange(1, len(right) + 1)
    # rows that are equally sure are answered together
    possible = np.append(confidence[1:] < confidence[:-1], [True])
    accuracies = np.where(possible, accuracies, -1.0)
    reached = accuracies >= min(accuracy, accuracies.max())
    return _half_way(confidence, int(np.flatnonzero(reached)[-1]), probabilities.shape[1])


def _ranked(probabilities: NDArray[Any], labels: NDArray[Any]) -> _Ranked:
    confidence = probabilities.max(-1)
    order = np.argsort(-confidence, kind="stable")
    return _Ranked(confidence[order], (probabilities.argmax(-1) == labels)[order])


def _half_way(confidence: NDArray[Any], last: int, classes: int) -> float:
    """Return the middle between the last row that is answered and the next less sure one, or an even guess.

    A row's probability differs in its last bits between batches, and must not decide whether it is answered.
    """
    below = confidence[confidence < confidence[last]]
    return float((confidence[last] + (below[0] if len(below) else 1 / classes)) / 2)


def _count(share: float, rows: int) -> int:
    # 0.55 * 100 is a little more than 55 in floating point
    return max(1, math.ceil(round(share * rows, 9)))
