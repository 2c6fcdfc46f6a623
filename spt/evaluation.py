"""Answers and scores of a prompted model, in inference mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from spt.data.batches import to_device
from spt.metrics import score
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
def probabilities(model: PromptedModel, loader: DataLoader[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return class probabilities [N, C] and labels [N], both in the order of the split's rows."""
    rows, labels, chances = [], [], []
    with evaluation_mode(model):
        for cpu_batch in loader:
            batch = to_device(cpu_batch, model.backbone.device)
            logits = model(batch, batch.get("start")).logits
            chances.append(logits.float().softmax(-1).cpu())
            rows.append(cpu_batch["rows"])
            labels.append(cpu_batch["labels"])
    order = torch.cat(rows).argsort()
    return np.asarray(torch.cat(chances)[order]), np.asarray(torch.cat(labels)[order])


def evaluate(model: PromptedModel, loader: DataLoader[Any], task: Task) -> dict[str, float]:
    """Return accuracy, F1 and, under `metric`, the score that the task selects by."""
    chances, labels = probabilities(model, loader)
    return score(task.metric, labels, chances.argmax(-1))
