"""What a training minimises: one place for trainings and searches, with the weights of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from spt.tasks import Task
from spt.training.class_weights import class_weights
from spt.training.config import ClassWeights


def new_loss(task: Task, weights: Sequence[float] | None = None) -> nn.Module:
    """Make the loss of logits [B, C] and a batch's labels.

    Args:
        task: one label a row: cross-entropy with labels [B]; several: binary cross-entropy of each class with
            labels [B, C].
        weights: of each class, or, where a row may have several, of the class's own rows beside all others.
    """
    tensor = None if weights is None else torch.tensor(weights)
    return nn.BCEWithLogitsLoss(pos_weight=tensor) if task.multi_label else nn.CrossEntropyLoss(tensor)


def training_loss(option: ClassWeights, task: Task, labels: NDArray[Any]) -> nn.Module:
    """Make the loss of a training on examples with these labels.

    Raises:
        InputError: as `class_weights`.
    """
    return new_loss(task, class_weights(option, task, labels))
