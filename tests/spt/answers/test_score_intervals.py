"""Intervals over rows: as wide as theory says, always the same, and narrower for pairs that go together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from spt.answers.score_intervals import (
    Interval,
    JackknifeScores,
    accuracy_interval,
    jackknife_metric,
    metric_interval,
    share_interval,
)
from spt.tasks import Task, get_task

ROWS = 600


def answers(seed: int, right: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels of three classes, and probabilities of answers that are right so often."""
    generator = np.random.default_rng(seed)
    labels = np.random.default_rng(0).integers(0, 3, ROWS)
    predicted = np.where(generator.random(ROWS) < right, labels, (labels + 1) % 3)
    return labels, np.eye(3)[predicted]


def three_classes(metric: str) -> Task:
    return get_task("trec").model_copy(update={"metric": metric, "labels": ("a", "b", "c")})


def ends(interval: Interval | None) -> Interval:
    assert interval is not None
    return interval


def interval_of(task: Task, labels: NDArray[Any], chances: NDArray[Any]) -> Interval:
    return ends(metric_interval(task, jackknife_metric(task, labels, chances, None), len(labels)))


def test_the_jackknife_is_as_wide_as_theory_says_and_always_the_same() -> None:
    right = np.random.default_rng(1).random(ROWS) < 0.8

    def share(rows: Any) -> float:
        return float(right[rows].mean())

    scores = JackknifeScores.of(share, ROWS)
    low, high = ends(scores.interval)
    assert (low + high) / 2 == pytest.approx(right.mean()) == scores.score
    assert high - low == pytest.approx(2 * 2.045 * (right.std() / ROWS**0.5), rel=0.35)
    assert JackknifeScores.of(share, ROWS) == scores


def test_a_difference_on_the_same_rows_is_surer_than_the_two_scores() -> None:
    task = three_classes("accuracy")
    labels, first = answers(1, 0.8)
    second = first.copy()
    # the same answers but for ten rows
    second[:10] = np.eye(3)[(labels[:10] + 1) % 3]
    one, other = (jackknife_metric(task, labels, chances, None) for chances in (first, second))
    low, high = ends(one.minus(other).interval)
    alone = ends(one.interval)
    assert low <= one.score - other.score <= high
    assert high - low < (alone[1] - alone[0]) / 2


def test_scores_that_are_the_same_without_any_rows_have_no_interval() -> None:
    labels = np.arange(8) % 2
    two = get_task("custom", labels=["a", "b"]).model_copy(update={"metric": "macro_f1"})
    right, wrong = (
        jackknife_metric(two, labels, np.eye(2)[answered], None) for answered in (labels, 1 - labels)
    )
    assert (right.score, wrong.score) == (1, 0)
    same = JackknifeScores(0.8, (0.1 + 0.2, 0.3))
    for scores in (right, wrong, right.minus(right), right.minus(wrong), same):
        assert scores.interval is None
    assert metric_interval(two, right, 8) is None
    single = jackknife_metric(two, labels[:1], np.eye(2)[:1], None)
    assert single.interval is metric_interval(two, single, 1) is None


def test_a_share_of_rows_gets_wilsons_interval() -> None:
    labels, chances = answers(1, 0.9)
    predicted = chances.argmax(-1)
    wilson = binomtest(int((labels == predicted).sum()), ROWS).proportion_ci(method="wilson")
    expected = pytest.approx((wilson.low, wilson.high))
    assert accuracy_interval(labels, predicted) == expected
    assert interval_of(three_classes("accuracy"), labels, chances) == expected


def test_all_rows_right_leave_room_below() -> None:
    labels, _ = answers(1, 1.0)
    low, high = interval_of(three_classes("accuracy"), labels, np.eye(3)[labels])
    assert 0.9 < low < 1 and high == pytest.approx(1)


@pytest.mark.parametrize("metric", ["macro_f1", "matthews", "balanced_accuracy"])
def test_other_metrics_get_the_jackknifes_inside_their_range(metric: str) -> None:
    labels, chances = answers(3, 0.999)
    scores = jackknife_metric(three_classes(metric), labels, chances, None)
    low, high = interval_of(three_classes(metric), labels, chances)
    assert low <= scores.score <= high <= 1


def test_a_row_of_several_labels_is_right_where_all_of_them_are() -> None:
    labels = np.array([[1, 0], [1, 1]] * 10)
    predicted = np.array([[1, 0], [1, 0]] * 10)
    half = binomtest(10, 20).proportion_ci(method="wilson")
    assert accuracy_interval(labels, predicted) == pytest.approx((half.low, half.high))


def test_a_correlation_may_be_below_zero_and_a_share_may_not() -> None:
    labels = np.arange(20) % 2
    wrong = np.eye(2)[1 - labels]
    # one right answer
    wrong[0] = 1 - wrong[0]
    two = get_task("custom", labels=["a", "b"])
    low, high = interval_of(two.model_copy(update={"metric": "matthews"}), labels, wrong)
    assert -1 <= low < high < 0
    low, _ = interval_of(two.model_copy(update={"metric": "macro_f1"}), labels, wrong)
    assert low == 0


def test_the_interval_of_a_share_is_wilsons() -> None:
    share, rows, z = 0.9, 50, 1.959963984540054
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    reach = z / (1 + z**2 / rows) * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    assert share_interval(share, rows) == pytest.approx((middle - reach, middle + reach))
    assert share_interval(1.0, rows)[1] == 1.0
