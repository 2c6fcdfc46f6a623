"""Layers scored by the gradient of a prompt of almost no effect: one forward and one backward pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from spt.architecture import Layers
from spt.build import ModelFactory
from spt.data.encoded.batches import Batch, to_device
from spt.data.encoded.examples import Examples
from spt.errors import TrialFailed
from spt.evaluation import evaluation_mode
from spt.model import PromptedModel
from spt.process.precision import autocast
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

    Attributes:
        gradient: of the loss for the P vectors, summed over rows and batches, [P, H]; None before any.
    """

    presence: Tensor

    def __init__(self, insert: InsertPrompt | None) -> None:
        super().__init__()
        self.insert = insert
        self.register_buffer("presence", torch.full((1,), PRESENCE), persistent=False)
        self.gradient: Tensor | None = None

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        """Return the faint prompt, whatever comes from below."""
        if self.insert is None:
            return EMPTY
        new: PromptState = self.insert(EMPTY, hidden, mask)
        assert new.vectors is not None
        new.vectors.register_hook(self._add)
        return PromptState(new.vectors, self.presence, new.offset)

    def _add(self, gradient: Tensor) -> None:
        summed = gradient.sum(0)
        self.gradient = summed if self.gradient is None else self.gradient + summed

    @property
    def score(self) -> float:
        """Return the median over the P vectors of their gradient's norm; 0 where nothing depends on them."""
        if self.gradient is None:
            return 0.0
        return float(self.gradient.double().norm(dim=-1).median()) / PRESENCE


def gradient_scores(
    factory: ModelFactory, layers: Layers, train: Loader, task: Task, config: TrainingConfig
) -> Mapping[int, float]:
    """Score layers by the gradient's norm for the vectors of their prompt, at its start and at no effect.

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

    Source: after the gradient norm at a new module's start (arXiv 2602.04019). Faint prompts are ours, and so
    is the median: by chance a vector of the start may draw most of the attention, and pass for its layer.
    """
    backbone, inserts = factory.backbone, factory.inserts(layers)
    faint = [
        FaintPrompt(cast(InsertPrompt | None, inserts.get(layer))) for layer in range(backbone.num_layers)
    ]
    model = PromptedModel(backbone, faint, factory.head()).to(backbone.device)
    loss = training_loss(config.class_weights, task, cast(Examples, train.dataset).labels).to(backbone.device)
    # dropout would draw from where no seed of the run is
    with evaluation_mode(model):
        for cpu_batch in islice(cast(Iterable[Batch], train), BATCHES):
            batch = to_device(cpu_batch, backbone.device)
            with autocast(config.precision, backbone.device):
                value = loss(model(batch).logits, batch["labels"])
            if not torch.isfinite(value):
                raise TrialFailed(f"The loss is {value.item()} before any training.")
            value.backward()
    return {layer: faint[layer].score for layer in layers}
