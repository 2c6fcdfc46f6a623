"""Answers from logits: probabilities, thresholds by dev, and no argmax where a row has several labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spt.answers.decisions import best_thresholds, class_probabilities, decide, score_answers, score_dev
from spt.tasks import get_task

ONE = get_task("custom", labels=["a", "b", "c"])
SEVERAL = get_task("custom", labels=["a", "b", "c"], multi_label=True)
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [-3.0, -1.0, -2.0], [1.0, 4.0, 3.0]])


def test_one_label_is_the_likeliest_and_its_probabilities_sum_to_one() -> None:
    chances = class_probabilities(LOGITS, ONE).numpy()
    np.testing.assert_allclose(chances.sum(-1), 1, rtol=1e-6)
    assert decide(ONE, chances, None).tolist() == [0, 1, 1]


def test_of_several_labels_each_class_has_its_own_probability_and_threshold() -> None:
    chances = class_probabilities(LOGITS, SEVERAL).numpy()
    np.testing.assert_allclose(chances, 1 / (1 + np.exp(-LOGITS.numpy())), rtol=1e-6)
    assert decide(SEVERAL, chances, None).tolist() == [[1, 0, 1], [0, 0, 0], [1, 1, 1]]
    assert decide(SEVERAL, chances, (0.8, 0.2, 0.9)).tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 1]]


def test_a_very_sure_class_of_several_has_odds() -> None:
    # 1.0 in 32 bits, whose odds would be without end
    assert class_probabilities(torch.full((1, 3), 20.0), SEVERAL).max() < 1


def test_a_probability_that_is_the_threshold_reaches_it() -> None:
    assert decide(SEVERAL, np.array([[0.5, 0.25, 0.75]]), (0.5, 0.25, 0.8)).tolist() == [[1, 1, 0]]


def test_thresholds_lie_half_way_and_nearest_to_one_half() -> None:
    labels = np.array([[1, 0], [1, 0], [0, 0], [0, 0]])
    chances = np.array([[0.9, 0.3], [0.3, 0.9], [0.1, 0.9], [0.2, 0.9]])
    # 0.25 parts the first class; the second has no row
    assert best_thresholds(labels, chances) == pytest.approx((0.25, 0.5))
    # the first alone, or all, with equal F1
    ends = np.array([[1], [0], [0], [1]])
    assert best_thresholds(ends, np.array([[0.9], [0.8], [0.3], [0.2]])) == pytest.approx((0.85,))
    assert best_thresholds(ends, np.array([[0.99], [0.9], [0.8], [0.4]])) == pytest.approx((0.2,))
    all_yes = np.ones((3, 1), dtype=int)
    assert best_thresholds(all_yes, np.array([[0.6], [0.7], [0.9]])) == pytest.approx((0.3,))


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=12))
def test_no_threshold_gives_a_higher_f1(rows: list[tuple[bool, int]]) -> None:
    labels = np.array([[int(yes)] for yes, _ in rows])
    chances = np.array([[number / 7 + 0.05] for _, number in rows])
    (threshold,) = best_thresholds(labels, chances)
    best = max(f1(labels, chances, other / 40) for other in range(44))
    assert f1(labels, chances, threshold) >= best - 1e-9


def f1(labels: NDArray[Any], chances: NDArray[Any], threshold: float) -> float:
    chosen = chances >= threshold
    wrong = (chosen != labels).sum()
    hits = (chosen & (labels > 0)).sum()
    return float(2 * hits / max(1, 2 * hits + wrong))


def test_dev_is_scored_by_its_best_thresholds_and_other_rows_by_given_ones() -> None:
    labels = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    chances = np.array([[0.4, 0.1], [0.45, 0.3], [0.1, 0.2]])
    task = get_task("custom", labels=["a", "b"], multi_label=True)
    assert score_dev(task, labels, chances)["metric"] == 1.0
    assert score_answers(task, labels, chances, (0.5, 0.5))["metric"] == 0.0
    assert score_answers(task, labels, chances, (0.42, 0.15))["subset_accuracy"] == pytest.approx(2 / 3)
