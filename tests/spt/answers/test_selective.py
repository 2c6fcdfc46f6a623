"""Thresholds: what they answer, how right that is, and rows that are equally sure."""

from __future__ import annotations

import numpy as np
import pytest

from spt.answers.selective import (
    answered,
    selective_accuracies,
    threshold_for_accuracy,
    threshold_for_coverage,
)

# right, right, wrong, right, wrong from the surest to the least sure
PROBABILITIES = np.array([[0.6, 0.4], [0.95, 0.05], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3]])
LABELS = np.array([1, 0, 1, 0, 0])


@pytest.mark.parametrize(
    ("threshold", "coverage", "accuracy"),
    [(0.0, 1.0, 0.6), (0.7, 0.8, 0.75), (0.75, 0.6, 2 / 3), (0.9, 0.4, 1.0), (0.96, 0.0, None)],
)
def test_what_a_threshold_answers(threshold: float, coverage: float, accuracy: float | None) -> None:
    result = answered(PROBABILITIES, LABELS, threshold)
    assert result.coverage == pytest.approx(coverage)
    assert result.accuracy == (None if accuracy is None else pytest.approx(accuracy))


@pytest.mark.parametrize(("coverage", "threshold"), [(1.0, 0.55), (0.8, 0.65), (0.7, 0.65), (0.01, 0.925)])
def test_a_share_of_the_rows_is_answered(coverage: float, threshold: float) -> None:
    found = threshold_for_coverage(PROBABILITIES, LABELS, coverage)
    assert found == pytest.approx(threshold)
    assert answered(PROBABILITIES, LABELS, found).coverage >= coverage


@pytest.mark.parametrize(("accuracy", "threshold"), [(0.5, 0.55), (0.7, 0.65), (0.76, 0.85), (1.0, 0.85)])
def test_the_lowest_threshold_that_is_right_often_enough(accuracy: float, threshold: float) -> None:
    found = threshold_for_accuracy(PROBABILITIES, LABELS, accuracy)
    assert found == pytest.approx(threshold)
    reached = answered(PROBABILITIES, LABELS, found).accuracy
    assert reached is not None and reached >= accuracy


def test_the_last_bits_of_a_probability_do_not_decide_whether_it_is_answered() -> None:
    for find in (threshold_for_coverage, threshold_for_accuracy):
        found = find(PROBABILITIES, LABELS, 0.75)
        noisy = np.nextafter(PROBABILITIES.astype(np.float32), np.float32(0))
        assert answered(noisy, LABELS, found) == answered(PROBABILITIES, LABELS, found)


def test_where_no_threshold_is_right_enough_it_is_the_most_accurate_one() -> None:
    wrong_at_the_top = np.array([[0.99, 0.01], [0.9, 0.1], [0.8, 0.2]])
    assert threshold_for_accuracy(wrong_at_the_top, np.array([1, 0, 0]), 0.9) == pytest.approx(0.65)


def test_rows_that_are_equally_sure_are_answered_together() -> None:
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]])
    # the first of the equal ones alone would be right always
    assert threshold_for_accuracy(probabilities, np.array([0, 1, 1, 0, 0]), 1.0) == pytest.approx(0.55)
    assert answered(probabilities, np.array([0, 1, 1, 0, 0]), 0.9).coverage == 0.8


def test_the_surest_rows_are_the_first_to_count() -> None:
    assert selective_accuracies(PROBABILITIES, LABELS) == {
        "0.5": pytest.approx(2 / 3),
        "0.8": pytest.approx(0.75),
        "0.9": pytest.approx(0.6),
    }


@pytest.mark.parametrize("rows", [20, 60, 100, 1000])
def test_a_whole_number_of_rows_is_not_one_more(rows: int) -> None:
    confidence = np.linspace(0.99, 0.51, rows)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.zeros(rows, dtype=int)
    for percent in range(5, 101, 5):
        found = threshold_for_coverage(probabilities, labels, percent / 100)
        assert (confidence >= found).sum() == percent * rows // 100
