"""Answers and scores of a prompted model, in inference mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spt.answers.decisions import class_probabilities, score_answers, score_dev
from spt.data.encoded.batches import to_device
from spt.errors import TrialFailed
from spt.model import PromptedModel
from spt.tasks import Task


@contextmanager
def evaluation_mode(*models: nn.Module) -> Iterator[None]:
    """Turn dropout off for a while, and leave each model in the mode it was in."""
    modes = [model.training for model in models]
    try:
        for model in models:
            model.eval()
        yield
    finally:
        for model, mode in zip(models, modes, strict=True):
            model.train(mode)


@torch.inference_mode()
def probabilities(
    model: PromptedModel, loader: DataLoader[Any], task: Task
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return class probabilities [N, C] and labels [N] or [N, C], both in the order of the split's rows.

    Those of a text's windows are pooled: their mean.
    """
    rows, labels, chances = [], [], []
    with evaluation_mode(model):
        for cpu_batch in loader:
            batch = to_device(cpu_batch, model.backbone.device)
            logits = model(batch, batch.get("start")).logits
            chances.append(class_probabilities(logits, task).cpu())
            rows.append(cpu_batch["rows"])
            labels.append(cpu_batch["labels"])
    answers = pool_windows(torch.cat(rows), torch.cat(chances), torch.cat(labels))
    return np.asarray(answers.probabilities), np.asarray(answers.labels)


def finite_probabilities(
    model: PromptedModel, loader: DataLoader[Any], task: Task
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return `probabilities` that can be scored.

    Raises:
        TrialFailed: if they are not finite.
    """
    chances, labels = probabilities(model, loader, task)
    check_scorable(chances)
    return chances, labels


def check_scorable(chances: NDArray[Any]) -> None:
    """Refuse probabilities [N, C] that are not finite: each such row would count as one of the first class.

    Raises:
        TrialFailed: with the number of rows.
    """
    if wrong := int((~np.isfinite(chances)).any(-1).sum()):
        raise TrialFailed(
            f"The class probabilities of {wrong} of {len(chances)} rows are not finite. Lower the learning "
            "rate, or set training.precision to 32."
        )


class RowAnswers(NamedTuple):
    """Hold the class probabilities [N, C] and the labels [N] or [N, C] of rows, in their order."""

    probabilities: Tensor
    labels: Tensor


def pool_windows(rows: Tensor, probabilities: Tensor, labels: Tensor) -> RowAnswers:
    """Give each row one answer: the mean of its windows' probabilities.

    Args:
        rows: of the windows, [W], in any order.
        probabilities: [W, C].
        labels: [W] or [W, C], the same in all windows of a row.
    """
    numbers, row_of = rows.unique(return_inverse=True)
    sums = probabilities.new_zeros(len(numbers), *probabilities.shape[1:]).index_add_(
        0, row_of, probabilities
    )
    row_labels = labels.new_empty(len(numbers), *labels.shape[1:])
    row_labels[row_of] = labels
    return RowAnswers(sums / row_of.bincount()[:, None], row_labels)


def evaluate(
    model: PromptedModel, loader: DataLoader[Any], task: Task, thresholds: Sequence[float] | None = None
) -> dict[str, float]:
    """Score rows: accuracy, F1 and, under `metric`, the score that the task selects by.

    Args:
        model: that answers.
        loader: of the rows.
        task: says what is a label, and the metric.
        thresholds: of each class, where a row may have several labels; None chooses them on these rows, as is
            right for dev and for no other split.

    Raises:
        TrialFailed: if the probabilities are not finite.
    """
    chances, labels = finite_probabilities(model, loader, task)
    if thresholds is None:
        return score_dev(task, labels, chances)
    return score_answers(task, labels, chances, thresholds)
