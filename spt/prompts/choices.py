"""The two things a layer can do with the prompt, and their soft mixture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spt.prompts.state import PromptState


class Propagate(nn.Module):
    """Keep the prompt that comes from below."""

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        return prompt


class InsertPrompt(nn.Module):
    """Put a new prompt in the place of the one from below."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        return PromptState(self.generator(hidden, mask))


class GatedPrompt(nn.Module):
    """(1 - g) * propagated + g * new, with g = sigmoid(alpha) and alpha starting at 0.

    `fixed` replaces the learned gate: 0 prunes the layer, 1 makes it the discrete insertion.

    Source: SPT (arXiv 2310.20127) for the gate; presence and its mixture are ours.
    """

    def __init__(self, insert: InsertPrompt) -> None:
        super().__init__()
        self.insert = insert
        self.alpha = nn.Parameter(torch.zeros(1))
        self.fixed: float | None = None

    def gate(self) -> Tensor:
        """g in [0, 1], shape [1]."""
        return self.alpha.sigmoid()

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        if self.fixed == 0:
            return prompt
        new: PromptState = self.insert(prompt, hidden, mask)
        return new if self.fixed == 1 else prompt.mixed(new, self.gate())
