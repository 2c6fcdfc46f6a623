"""The owned layer loop: a frozen backbone, one choice a layer, a head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spt.backbones.base import Backbone
from spt.heads import Output
from spt.prompts.choices import Propagate
from spt.prompts.state import EMPTY, PromptState


class PromptedModel(nn.Module):
    """A frozen backbone whose layers take the prompt from below or a new one.

    Args:
        backbone: frozen, with L layers.
        choices: one module a layer, (prompt, hidden [B, T, H], mask [B, T]) -> prompt.
        head: (hidden [B, T, H], batch) -> Output.
        template_prompt: changes what layer 0 reads, (hidden [B, T, H], batch) -> hidden; None for prompts
            in front.

    Attributes:
        checkpointing: run each layer that is differentiated a second time in the backward pass instead of
            keeping its activations.
    """

    checkpointing = False

    def __init__(
        self,
        backbone: Backbone,
        choices: Sequence[nn.Module],
        head: nn.Module,
        template_prompt: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.choices = nn.ModuleList(choices)
        self.head = head
        self.template_prompt = template_prompt

    @property
    def first_prompt_layer(self) -> int:
        """The lowest layer that may get a prompt; L where none does."""
        if self.template_prompt is not None:
            return 0
        layers = [i for i, choice in enumerate(self.choices) if not isinstance(choice, Propagate)]
        return min(layers, default=len(self.choices))

    @torch.no_grad()
    def prefix(self, batch: Mapping[str, Any]) -> Tensor:
        """Hidden states [B, T, H] at the first prompt layer: nothing below it depends on what trains.

        A batch may bring the states of a lower layer, `prefix` [B, T, H] at `prefix_layer`, to start from.
        """
        mask = batch["attention_mask"]
        hidden = batch["prefix"] if "prefix" in batch else self.backbone.embed(batch)
        start, end = batch.get("prefix_layer", 0), self.first_prompt_layer
        if start > end:
            raise ValueError(f"the batch starts at layer {start}, but the first prompt is at layer {end}")
        if start < end:
            frame = self.backbone.frame(hidden, mask, EMPTY, padded=not bool(mask.all()))
        for index in range(start, end):
            hidden = self.backbone.layer(index, hidden, frame)
        return hidden

    def with_prefix(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch with its prefix computed, for several passes over it."""
        return {**batch, "prefix": self.prefix(batch), "prefix_layer": self.first_prompt_layer}

    def forward(self, batch: Mapping[str, Any]) -> Output:
        """A batch (spt.data.Batch) -> features [B, H] and logits [B, C]."""
        mask = batch["attention_mask"]
        hidden = self.prefix(batch)
        if self.template_prompt is not None:
            hidden = self.template_prompt(hidden, batch)
        prompt, hidden = self.prompted_layers(hidden, mask, padded=not bool(mask.all()))
        output: Output = self.head(self.backbone.finish(hidden), {**batch, "prompt": prompt})
        return output

    def prompted_layers(self, hidden: Tensor, mask: Tensor, padded: bool) -> tuple[PromptState, Tensor]:
        """The layers from the first prompt on: hidden [B, T, H], mask [B, T] -> prompt, hidden [B, T, H]."""
        run: Any = self.backbone.run
        if self.checkpointing:
            run = partial(checkpoint, run, use_reentrant=False)
        prompt, frame = EMPTY, None
        for index in range(self.first_prompt_layer, len(self.choices)):
            prompt = self.choices[index](prompt, hidden, mask)
            if frame is None or not frame.fits(prompt):
                frame = self.backbone.frame(hidden, mask, prompt, padded)
            prompt, hidden = run(index, prompt, hidden, frame)
        return prompt, hidden

    def compile(self, **options: Any) -> None:
        """Compile the layers from the first prompt on with torch.compile's options, and nothing else."""
        self.prompted_layers = torch.compile(self.prompted_layers, **options)  # type: ignore[method-assign]


def trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The one predicate of what trains and is saved: all outside the backbone, and what is thawed in it.

    A backbone is frozen as it is loaded; only methods that tune weights of its own thaw some.
    """
    return ((name, p) for name, p in model.named_parameters() if "backbone." not in name or p.requires_grad)
