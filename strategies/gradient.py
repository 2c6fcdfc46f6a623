"""Layers scored by the gradient of a prompt of almost no effect: one forward and one backward pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from search_spaces.budget import Layers
from spt.build import ModelFactory
from spt.data.batches import Batch, to_device
from spt.data.examples import Examples
from spt.errors import TrialFailed
from spt.model import PromptedModel
from spt.precision import autocast
from spt.prompts.choices import InsertPrompt
from spt.prompts.state import EMPTY, PromptState
from spt.tasks import Task
from spt.training.config import TrainingConfig
from spt.training.fit import Loader
from spt.training.losses import training_loss

# weight of a faint prompt's keys in the attention, beside 1 of a token's
PRESENCE = 1e-3
# whose gradients are added
BATCHES = 8


class FaintPrompt(nn.Module):
    """A layer's new prompt, of almost no effect, for this layer alone: nothing comes from below.

    Args:
        insert: makes the prompt; None for a layer that has none.
    """

    presence: Tensor

    def __init__(self, insert: InsertPrompt | None) -> None:
        super().__init__()
        self.insert = insert
        self.register_buffer("presence", torch.full((1,), PRESENCE), persistent=False)

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        """Return the faint prompt, whatever comes from below."""
        if self.insert is None:
            return EMPTY
        new: PromptState = self.insert(EMPTY, hidden, mask)
        return PromptState(new.vectors, self.presence, new.offset)


def gradient_scores(
    factory: ModelFactory, layers: Layers, train: Loader, task: Task, config: TrainingConfig
) -> Mapping[int, float]:
    """Score layers by the norm of the loss's gradient for their generator, at its start and at no effect.

    All layers have a prompt of their own at a time, so faint that none changes what another meets. The
    gradients of the batches are added, so that what they agree on counts.

    Args:
        factory: makes generators and head.
        layers: that are scored.
        train: batches of the training data, of which the first `BATCHES` are used.
        task: says what the loss is.
        config: of the training; names precision and class weights.

    Raises:
        TrialFailed: if the loss is not finite.

    Source: after the gradient norm at a new module's start (arXiv 2602.04019); faint prompts are ours.
    """
    backbone, inserts = factory.backbone, factory.inserts(layers)
    faint = [FaintPrompt(inserts.get(layer)) for layer in range(backbone.num_layers)]
    model = PromptedModel(backbone, faint, factory.head()).to(backbone.device)
    loss = training_loss(config.class_weights, task, cast(Examples, train.dataset).labels).to(backbone.device)
    for cpu_batch in islice(cast(Iterable[Batch], train), BATCHES):
        batch = to_device(cpu_batch, backbone.device)
        with autocast(config.precision, backbone.device):
            value = loss(model(batch).logits, batch["labels"])
        if not torch.isfinite(value):
            raise TrialFailed(f"The loss is {value.item()} before any training.")
        value.backward()
    return {layer: _gradient_norm(insert) for layer, insert in inserts.items()}


def _gradient_norm(insert: InsertPrompt) -> float:
    squares = [p.grad.double().square().sum() for p in insert.parameters() if p.grad is not None]
    norm: float = float(sum(squares)) ** 0.5
    return norm / PRESENCE
