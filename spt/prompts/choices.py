"""The two things a layer can do with the prompt, and their soft mixture."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from spt.prompts.state import PromptState


class Propagate(nn.Module):
    """Keep the prompt that comes from below."""

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        return prompt


class OffsetSource(Protocol):
    """A generator that makes an offset of the tokens beside the prompt."""

    def with_offset(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Generate from hidden [B, T, H] and mask [B, T] a prompt [B, P, H] and an offset [B, T, H]."""
        ...


class InsertPrompt(nn.Module):
    """Put a new prompt in the place of the one from below, or add it to that one.

    Args:
        generator: (hidden [B, T, H], mask [B, T]) -> prompt [B, P, H].
        adds: keep what comes from below, as much of it as is present, and add the new prompt to it. Where
            there is nothing below, both are the same.
        offsets: shift the tokens too; the generator is an OffsetSource.

    Source: SPT (arXiv 2310.20127) replaces, IDPG (arXiv 2204.04497) adds. Adding what is present only is
    ours: it keeps the relaxed network at gates 0/1 equal to the discrete one.
    """

    def __init__(self, generator: nn.Module, adds: bool = False, offsets: bool = False) -> None:
        super().__init__()
        self.generator = generator
        self.adds = adds
        self.offsets = offsets

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        new, offset = self._generated(hidden, mask)
        return PromptState(new + prompt.present() if self.adds and prompt.length else new, offset=offset)

    def _generated(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.offsets:
            return cast(OffsetSource, self.generator).with_offset(hidden, mask)
        return self.generator(hidden, mask), None


class GatedPrompt(nn.Module):
    """Mix (1 - g) * propagated + g * new, with g = sigmoid(alpha) and alpha starting at 0.

    `fixed` replaces the learned gate: 0 prunes the layer, 1 makes it the discrete insertion.

    Source: SPT (arXiv 2310.20127) for the gate; presence and its mixture are ours.
    """

    def __init__(self, insert: InsertPrompt) -> None:
        super().__init__()
        self.insert = insert
        self.alpha = nn.Parameter(torch.zeros(1))
        self.fixed: float | None = None

    def gate(self) -> Tensor:
        """Return g in [0, 1], shape [1]."""
        return self.alpha.sigmoid()

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        if self.fixed == 0:
            return prompt
        new: PromptState = self.insert(prompt, hidden, mask)
        return new if self.fixed == 1 else prompt.mixed(new, self.gate())
