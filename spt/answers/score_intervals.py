"""How far a score may be off: 95 % intervals over the rows that were scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, t

from spt.answers.decisions import decide, score_answers
from spt.metrics import SHARES_OF_ROWS
from spt.tasks import Task

# of rows, each of which is left out once
GROUPS = 30
CONFIDENCE = 0.95
# scores no further apart are the same but for rounding
ROUNDING = 1e-12

Interval = tuple[float, float]


@dataclass(frozen=True)
class JackknifeScores:
    """Hold a score of all rows, and of all but each of some groups of them.

    Source: the delete-a-group jackknife (Kott 2001), which needs few scores of any metric.

    Attributes:
        score: of all rows.
        without: of all rows but one group, group by group; fewer than two say nothing of an interval.
    """

    score: float
    without: tuple[float, ...]

    @classmethod
    def of(cls, score_rows: Callable[[NDArray[Any]], float], rows: int) -> JackknifeScores:
        """Score so many rows whole and without each group; the groups are the same for every score.

        Args:
            score_rows: scores the rows of some numbers.
            rows: their number.
        """
        groups = min(GROUPS, rows)
        group_of = np.random.default_rng(0).permutation(rows) % max(1, groups)
        left_out = range(groups) if groups > 1 else ()
        without = tuple(score_rows(np.flatnonzero(group_of != group)) for group in left_out)
        return cls(score_rows(np.arange(rows)), without)

    @property
    def interval(self) -> Interval | None:
        """Return the 95 % interval of the score; None where it is the same whichever group is left out.

        The rows then do not say how far it may be off, as where all of them are right, or there is one alone.
        """
        groups, values = len(self.without), np.array(self.without)
        if groups < 2 or float(np.ptp(values)) < ROUNDING:
            return None
        error = math.sqrt((groups - 1) / groups * float(((values - values.mean()) ** 2).sum()))
        reach = float(t.ppf((1 + CONFIDENCE) / 2, groups - 1)) * error
        return self.score - reach, self.score + reach

    def minus(self, other: JackknifeScores) -> JackknifeScores:
        """Return the difference from the score of other answers to the same rows."""
        without = tuple(mine - its for mine, its in zip(self.without, other.without, strict=True))
        return JackknifeScores(self.score - other.score, without)


def jackknife_metric(
    task: Task, labels: NDArray[Any], probabilities: NDArray[Any], thresholds: Sequence[float] | None
) -> JackknifeScores:
    """Score answers by the task's metric, whole and without each group of rows.

    Args:
        task: whose metric is taken.
        labels: class indices [N], or 1 for a row's classes and 0 for others [N, C].
        probabilities: of each class, [N, C].
        thresholds: as of `decide`.
    """
    if task.metric in SHARES_OF_ROWS:
        right = _right(labels, decide(task, probabilities, thresholds))
        return JackknifeScores.of(lambda rows: float(right[rows].mean()), len(right))
    return JackknifeScores.of(
        lambda rows: score_answers(task, labels[rows], probabilities[rows], thresholds)["metric"], len(labels)
    )


def accuracy_interval(labels: NDArray[Any], predictions: NDArray[Any]) -> Interval:
    """Return the interval of the share of rows that are all right.

    Args:
        labels: class indices [N], or 1 for a row's classes and 0 for others [N, C].
        predictions: likewise.
    """
    right = _right(labels, predictions)
    return share_interval(float(right.mean()), len(right))


def metric_interval(task: Task, scores: JackknifeScores, rows: int) -> Interval | None:
    """Return the interval of the task's metric: Wilson's of a share of rows, the jackknife's of any other.

    Args:
        task: whose metric it is.
        scores: of `jackknife_metric`.
        rows: how many were scored.
    """
    if task.metric in SHARES_OF_ROWS:
        return share_interval(scores.score, rows)
    interval = scores.interval
    if interval is None:
        return None
    low, high = interval
    lowest = -1.0 if task.metric == "matthews" else 0.0
    return max(low, lowest), min(high, 1.0)


def share_interval(share: float, rows: int) -> Interval:
    """Return the interval of a share of rows, as an accuracy is one. Source: Wilson 1927.

    Args:
        share: in [0, 1].
        rows: how many it is a share of, at least 1.
    """
    wilson = binomtest(round(share * rows), rows).proportion_ci(CONFIDENCE, method="wilson")
    return float(wilson.low), float(wilson.high)


def _right(labels: NDArray[Any], predictions: NDArray[Any]) -> NDArray[np.bool_]:
    """Say of each row whether its answer is all right."""
    same: NDArray[np.bool_] = (labels == predictions).reshape(len(labels), -1).all(1)
    return same
