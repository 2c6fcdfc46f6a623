"""The owned layer loop: a frozen backbone, one choice a layer, a head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from spt.backbones.base import Backbone, Frame
from spt.heads import Output
from spt.prompts.choices import Propagate
from spt.prompts.state import EMPTY


class PromptedModel(nn.Module):
    """A frozen backbone whose layers take the prompt from below or a new one.

    Args:
        backbone: frozen, with L layers.
        choices: one module a layer, (prompt, hidden [B, T, H], mask [B, T]) -> prompt.
        head: (hidden [B, T, H], batch) -> Output.
    """

    def __init__(self, backbone: Backbone, choices: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.choices = nn.ModuleList(choices)
        self.head = head

    @property
    def first_prompt_layer(self) -> int:
        """The lowest layer that may get a prompt; L where none does."""
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
        frame = self.backbone.frame(hidden, mask, EMPTY) if start < end else None
        for index in range(start, end):
            hidden = self.backbone.layer(index, hidden, cast(Frame, frame))
        return hidden

    def with_prefix(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch with its prefix computed, for several passes over it."""
        return {**batch, "prefix": self.prefix(batch), "prefix_layer": self.first_prompt_layer}

    def forward(self, batch: Mapping[str, Any]) -> Output:
        """A batch (spt.data.Batch) -> features [B, H] and logits [B, C]."""
        mask = batch["attention_mask"]
        hidden, prompt, frame = self.prefix(batch), EMPTY, None
        for index in range(self.first_prompt_layer, len(self.choices)):
            prompt = self.choices[index](prompt, hidden, mask)
            if frame is None or not frame.fits(prompt):
                frame = self.backbone.frame(hidden, mask, prompt)
            prompt, hidden = self.backbone.run(index, prompt, hidden, frame)
        output: Output = self.head(self.backbone.finish(hidden), batch)
        return output


def trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The one predicate of what trains and what is saved: every parameter outside the backbone."""
    return ((name, p) for name, p in model.named_parameters() if "backbone." not in name)
