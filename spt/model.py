"""The owned layer loop: a frozen backbone, one choice a layer, a head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from spt.backbones.base import Backbone
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
    def prefix(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Hidden states [B, T, H] at the first prompt layer: nothing below it depends on what trains."""
        mask = batch["attention_mask"]
        hidden = self.backbone.embed(batch)
        frame = self.backbone.frame(hidden, mask, EMPTY)
        for index in range(self.first_prompt_layer):
            hidden = self.backbone.layer(index, hidden, frame)
        return hidden

    def forward(self, batch: Mapping[str, Tensor]) -> Output:
        """A batch (spt.data.Batch), with `prefix` in it where it is known -> features and logits."""
        mask = batch["attention_mask"]
        hidden = batch["prefix"] if "prefix" in batch else self.prefix(batch)
        prompt = EMPTY
        frame = None
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
