"""Every metric's value, against arithmetic done by hand."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from spt.errors import InputError
from spt.metrics import OF_LABEL_SETS, OF_LABELS, TITLES, Metric, score, score_sets, scores_beside
from spt.tasks import Task, check_metric, get_task

# class 0 is right 3 times of 4, class 1 once of 2, class 2 never of 1
LABELS, PREDICTIONS = [0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 0, 1]
F1 = (3 / 4, 2 / 5, 0.0)
BINARY = ([0, 0, 0, 1, 1], [0, 0, 1, 1, 0])

EXPECTED = {
    "accuracy": 4 / 7,
    "balanced_accuracy": (3 / 4 + 1 / 2 + 0) / 3,
    "macro_f1": sum(F1) / 3,
    "weighted_f1": (4 * F1[0] + 2 * F1[1] + 1 * F1[2]) / 7,
    "micro_f1": 4 / 7,
}


@pytest.mark.parametrize("metric", EXPECTED)
def test_one_label_a_row(metric: Metric) -> None:
    scores = score(metric, LABELS, PREDICTIONS)
    assert scores["metric"] == scores[metric] == pytest.approx(EXPECTED[metric])
    for beside in ("accuracy", "macro_f1", "weighted_f1"):
        assert scores[beside] == pytest.approx(EXPECTED[beside])


@pytest.mark.parametrize(
    ("metric", "value"),
    [("f1", 1 / 2), ("accuracy_and_f1", (3 / 5 + 1 / 2) / 2), ("matthews", (1 * 2 - 1 * 1) / 6)],
)
def test_one_of_two_labels_a_row(metric: Metric, value: float) -> None:
    assert score(metric, *BINARY)["metric"] == pytest.approx(value)


def test_f1_of_two_classes_that_are_not_0_and_1_is_macro() -> None:
    # of three classes, whose first one no row has
    scores = score("f1", [1, 1, 2, 2], [1, 2, 2, 2])
    assert scores["f1"] == scores["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_f1_of_the_second_class_stays_so_beside_labels_that_nobody_can_answer() -> None:
    # class 1: once right, once for another class, once for a label that was not fitted
    labels, predictions = [1, 0, 2, 3, 0], [1, 1, 1, 0, 0]
    assert score("f1", labels, predictions)["metric"] == pytest.approx(2 / 4)
    assert score("accuracy_and_f1", labels, predictions)["metric"] == pytest.approx((2 / 5 + 2 / 4) / 2)


SETS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])
ANSWERS = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]])
CHANCES = np.array([[0.9, 0.1, 0.2], [0.6, 0.3, 0.4], [0.7, 0.8, 0.1], [0.2, 0.4, 0.3]])
SET_F1 = (4 / 5, 2 / 3, 0.0)

EXPECTED_SETS = {
    "macro_f1": sum(SET_F1) / 3,
    "micro_f1": 2 * 3 / (4 + 4),
    "weighted_f1": (2 * SET_F1[0] + 2 * SET_F1[1]) / 4,
    "subset_accuracy": 2 / 4,
    # of the classes that occur: the first ranks its rows 1st and 3rd, the second 1st and 3rd
    "mean_average_precision": ((1 + 2 / 3) / 2 + (1 + 2 / 3) / 2) / 2,
    # the second row's classes stand 1st and, behind a wrong one, 3rd; a row of no label is right
    "label_ranking": (1 + (1 + 2 / 3) / 2 + 1 + 1) / 4,
}


@pytest.mark.parametrize("metric", OF_LABEL_SETS)
def test_several_labels_a_row(metric: Metric) -> None:
    scores = score_sets(metric, SETS, ANSWERS, CHANCES)
    assert scores["metric"] == scores[metric] == pytest.approx(EXPECTED_SETS[metric])
    assert scores["accuracy"] == pytest.approx(EXPECTED_SETS["subset_accuracy"])


def test_rows_of_no_label_at_all_have_a_score() -> None:
    nothing = np.zeros((3, 2), dtype=int)
    scores = score_sets("macro_f1", nothing, nothing, np.full((3, 2), 0.1))
    assert (scores["metric"], scores["accuracy"], scores["mean_average_precision"]) == (0, 1, 0)


def test_every_metric_is_of_labels_or_of_sets_and_has_a_title() -> None:
    assert set(OF_LABELS) | set(OF_LABEL_SETS) == set(get_args(Metric)) == set(TITLES)


def test_a_task_selects_by_accuracy_or_with_several_labels_by_macro_f1() -> None:
    assert get_task("custom").metric == "accuracy"
    assert get_task("custom", multi_label=True).metric == "macro_f1"


@pytest.mark.parametrize(
    ("changes", "closest"),
    [
        ({"metric": "accuracy", "multi_label": True}, "set metric to subset_accuracy"),
        ({"metric": "matthews", "multi_label": True}, "set metric to macro_f1"),
        ({"metric": "subset_accuracy"}, "set metric to accuracy, or multi_label to true"),
        ({"metric": "label_ranking"}, "set metric to macro_f1, or multi_label to true"),
    ],
)
def test_a_metric_of_the_other_kind_of_task_is_refused(changes: dict[str, object], closest: str) -> None:
    with pytest.raises(ValidationError, match=closest):
        Task(name="custom", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", ["f1", "accuracy_and_f1"])
def test_f1_of_the_second_class_is_refused_for_more_than_two(metric: str) -> None:
    task = get_task("custom", metric=metric)
    check_metric(task, 2)
    with pytest.raises(InputError, match=rf"task.metric is {metric}, .* has 3 classes. Set .* to macro_f1"):
        check_metric(task, 3)


def test_scores_beside_the_main_one_are_told_once_and_of_old_runs_f1_alone() -> None:
    run = {"metric": "accuracy", "test_metric": 0.9, "test_f1": 0.7, "test_macro_f1": 0.7}
    assert scores_beside({**run, "test_weighted_f1": 0.8, "test_micro_f1": None}) == {
        "macro F1": 0.7,
        "weighted F1": 0.8,
    }
    assert scores_beside({**run, "metric": "macro_f1", "test_metric": 0.7}) == {}
    assert scores_beside({**run, "test_f1": 0.6}) == {"F1": 0.6, "macro F1": 0.7}
    assert scores_beside({"metric": "accuracy", "test_metric": 0.9, "test_f1": 0.7}) == {"F1": 0.7}
