"""Answers and scores of a prompted model, in inference mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from spt.data.batches import to_device
from spt.metrics import score
from spt.model import PromptedModel
from spt.tasks import Task


@torch.inference_mode()
def probabilities(model: PromptedModel, loader: DataLoader[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Class probabilities [N, C] and labels [N], both in the order of the split's rows."""
    model.eval()
    device = model.backbone.device
    rows, labels, chances = [], [], []
    for batch in loader:
        chances.append(model(to_device(batch, device)).logits.float().softmax(-1).cpu())
        rows.append(batch["rows"])
        labels.append(batch["labels"])
    order = torch.cat(rows).argsort()
    return np.asarray(torch.cat(chances)[order]), np.asarray(torch.cat(labels)[order])


def evaluate(model: PromptedModel, loader: DataLoader[Any], task: Task) -> dict[str, float]:
    """Accuracy, F1 and, under `metric`, the score the task selects by."""
    chances, labels = probabilities(model, loader)
    return score(task.metric, labels, chances.argmax(-1))
