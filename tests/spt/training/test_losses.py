"""The loss of trainings and searches: weights of classes, and several labels a row."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import logsigmoid

from spt.errors import InputError
from spt.tasks import Task, get_task
from spt.training.class_weights import class_weights
from spt.training.config import TrainingConfig
from spt.training.losses import new_loss

LABELS = [0] * 6 + [1] * 3 + [2]
ONE = get_task("custom", labels=["ham", "spam", "scam"])
SEVERAL = get_task("custom", labels=["ham", "spam", "scam"], multi_label=True)
SETS = [[1.0, 0.0, 1.0]] * 2 + [[1.0, 0.0, 0.0]] * 6


def test_balanced_weights_are_scikit_learns() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    assert class_weights("balanced", ONE, np.array(LABELS)) == pytest.approx(tuple(expected))


def test_balanced_weights_of_several_labels_are_rows_without_by_rows_with() -> None:
    # all rows are of the first class and none of the second, about which there is nothing to weigh
    assert class_weights("balanced", SEVERAL, np.array(SETS)) == (1.0, 1.0, 3.0)


def test_classes_that_a_mapping_leaves_out_weigh_one() -> None:
    assert class_weights({"spam": 4.0}, ONE, np.array(LABELS)) == (1.0, 4.0, 1.0)
    assert class_weights(None, ONE, np.array(LABELS)) is None


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"spm": 2.0}, r"Unknown class 'spm'\. Did you mean 'spam'\? Allowed: ham, scam, spam"),
        ({"scam": 2.0}, "No training row has the class 'scam'"),
    ],
)
def test_a_weight_of_an_absent_class_is_refused(weights: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        class_weights(weights, ONE, np.array(LABELS[:9]))


@pytest.mark.parametrize(
    "value", ["even", {}, {"a": 0}, {"a": -1}, {"a": "x"}, {"a": float("nan")}, {"a": True}, 3]
)
def test_what_is_no_weight_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match=r"class_weights\n"):
        TrainingConfig(class_weights=value)  # type: ignore[arg-type]


def test_classes_that_yaml_reads_as_numbers_are_names() -> None:
    assert TrainingConfig(class_weights={1: 2}).class_weights == {"1": 2.0}  # type: ignore[dict-item]


def by_hand(task: Task, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    if task.multi_label:
        return -(weights * labels * logsigmoid(logits) + (1 - labels) * logsigmoid(-logits)).mean()
    rows = weights[labels]
    return -(rows * logits.log_softmax(-1)[torch.arange(len(labels)), labels]).sum() / rows.sum()


@pytest.mark.parametrize("task", [ONE, SEVERAL], ids=["one", "several"])
@pytest.mark.parametrize("weights", [None, (1.0, 4.0, 0.5)])
def test_the_loss_is_what_the_formula_says(task: Task, weights: tuple[float, ...] | None) -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor(SETS[:5]) if task.multi_label else torch.tensor([0, 1, 2, 1, 0])
    expected = by_hand(task, logits, labels, torch.tensor(weights or (1.0, 1.0, 1.0)))
    torch.testing.assert_close(new_loss(task, weights)(logits, labels), expected)


def test_the_documented_option_names_both_ways() -> None:
    assert re.search("balanced.*by class", TrainingConfig.model_fields["class_weights"].description or "")
