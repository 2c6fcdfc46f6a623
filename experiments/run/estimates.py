"""What a training will take at most, from one step on its longest batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

from search_spaces.budget import Layers
from spt.architecture import PromptLayers
from spt.data.batches import make_loader, to_device
from spt.flops import flops
from spt.model import PromptedModel

if TYPE_CHECKING:
    from experiments.pipeline import Run

# the padding of another epoch's batches is not quite that of the first
MARGIN = 1.05


def training_flops(run: Run, layers: Layers) -> float:
    """Operations of training prompts at these layers without a prefix cache and without stopping early."""
    model = run.factory.model(PromptLayers.of(layers, run.backbone.num_layers))
    config = run.config.training

    def step(batch: Any) -> None:
        cross_entropy(model(batch).logits, batch["labels"]).backward()

    epoch = _pass(run, model, "train", config.batch_size, step)
    return config.epochs * (epoch + dev_flops(run, model))


def dev_flops(run: Run, model: PromptedModel) -> float:
    """Operations of scoring dev once."""

    @torch.inference_mode()
    def step(batch: Any) -> None:
        model(batch)

    return _pass(run, model, "dev", run.config.training.eval_batch_size, step)


def _pass(run: Run, model: PromptedModel, split: str, batch_size: int, step: Callable[[Any], None]) -> float:
    """Operations of a pass over a split: those of the longest batch a token, times all tokens.

    Prompts count as tokens. A long text costs more a token than a short one, so this is not too little.
    """
    model.to(torch.accelerator.current_accelerator(check_available=True) or "cpu")
    length = run.config.prompt.length
    batches = list(make_loader(run.examples(split), run.tokenizer, batch_size, run.config.seed))
    tokens = [batch["input_ids"].shape[0] * (batch["input_ids"].shape[1] + length) for batch in batches]
    longest = max(range(len(batches)), key=lambda index: batches[index]["input_ids"].shape[1])
    batch = to_device(batches[longest], model.backbone.device)
    return MARGIN * flops(lambda: step(batch)) / tokens[longest] * sum(tokens)
