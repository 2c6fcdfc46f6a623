"""What a training will take at most, from one step on its longest batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from search_spaces.budget import Layers
from spt.architecture import PromptLayers
from spt.data.batches import make_loader, to_device
from spt.devices import chosen_device
from spt.flops import flops
from spt.model import PromptedModel
from spt.training.losses import new_loss
from spt.workbench import Workbench

# the padding of another epoch's batches is not quite that of the first
MARGIN = 1.05


def training_flops(workbench: Workbench, layers: Layers) -> float:
    """Estimate the FLOPs of training prompts at these layers, without a prefix cache or an early stop."""
    model = workbench.factory.model(PromptLayers.of(layers, workbench.num_layers))
    training, loss = workbench.training, new_loss(workbench.spec.task)

    def step(batch: Any) -> None:
        loss(model(batch).logits, batch["labels"]).backward()

    epoch = _pass(workbench, model, "train", training.batch_size, step)
    return training.epochs * (epoch + dev_flops(workbench, model))


def dev_flops(workbench: Workbench, model: PromptedModel) -> float:
    """Estimate the FLOPs of scoring dev once."""

    @torch.inference_mode()
    def step(batch: Any) -> None:
        model(batch)

    return _pass(workbench, model, "dev", workbench.training.eval_batch_size, step)


def _pass(
    workbench: Workbench, model: PromptedModel, split: str, batch_size: int, step: Callable[[Any], None]
) -> float:
    """Estimate a pass over a split: the FLOPs of the longest batch a token, times all tokens.

    Prompts count as tokens. A long text costs more a token than a short one, so this is not too little.
    """
    model.to(chosen_device())
    length = workbench.spec.prompt.length
    loader = make_loader(workbench.examples[split], workbench.tokenizer, batch_size, workbench.seed)
    batches = list(loader)
    tokens = [batch["input_ids"].shape[0] * (batch["input_ids"].shape[1] + length) for batch in batches]
    longest = max(range(len(batches)), key=lambda index: batches[index]["input_ids"].shape[1])
    batch = to_device(batches[longest], model.backbone.device)
    total: float = MARGIN * flops(lambda: step(batch)) / tokens[longest] * sum(tokens)
    return total
