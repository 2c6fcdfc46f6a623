"""What a layer can do with the prompt and its tokens, and the soft mixture of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
        return prompt.added(new, offset) if self.adds else PromptState(new, offset=offset)

    def _generated(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.offsets:
            return cast(OffsetSource, self.generator).with_offset(hidden, mask)
        return self.generator(hidden, mask), None


class ScaleTokens(nn.Module):
    """Scale the states of the tokens, all by the same factors, and keep the prompt that comes from below.

    Args:
        generator: (hidden [B, T, H], mask [B, T]) -> what is added to factors of 1, [B, 1, H].
    """

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        return replace(prompt, offset=hidden * self.generator(hidden, mask) * mask[..., None])


class GatedPrompt(nn.Module):
    """Mix what a layer's choices make of the prompt from below, each behind a gate of its own.

    A gate is sigmoid(alpha), with alpha starting at 0. With one choice the mixture is (1 - g) * propagated +
    g * new; with several the gates are independent chances, given that no two are open.

    Args:
        choices: by name, (prompt, hidden [B, T, H], mask [B, T]) -> prompt.

    Attributes:
        fixed: by name, what replaces a learned gate: 0 prunes the choice, 1 makes the layer the discrete one.

    Source: SPT (arXiv 2310.20127) for the gate; presence and its mixture, and several choices, are ours.
    """

    def __init__(self, choices: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.kinds = tuple(choices)
        for kind, choice in choices.items():
            self.add_module(kind, choice)
        self.alpha = nn.Parameter(torch.zeros(len(choices)))
        self.fixed: dict[str, float] = {}

    def module_of(self, kind: str) -> nn.Module:
        """Return the choice of a name."""
        return self.get_submodule(kind)

    def gates(self) -> Tensor:
        """Return the gate of each choice, in [0, 1], shape [C]."""
        return self.alpha.sigmoid()

    def weights(self, kinds: Sequence[str]) -> Tensor:
        """Return the share of each of some choices in the mixture, where the others are pruned, shape [C]."""
        alpha = (
            self.alpha[[self.kinds.index(kind) for kind in kinds]]
            if len(kinds) < len(self.kinds)
            else self.alpha
        )
        if len(kinds) == 1:
            return alpha.sigmoid()
        return torch.cat([torch.zeros_like(alpha[:1]), alpha]).softmax(0)[1:]

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        return mixture(self, prompt, hidden, mask)


class GatedChoices(Protocol):
    """Several choices of a layer as a mixture sees them.

    Attributes:
        kinds: the names of the choices.
        fixed: as of GatedPrompt.
    """

    kinds: tuple[str, ...]
    fixed: dict[str, float]

    def module_of(self, kind: str) -> nn.Module:
        """Return the choice of a name."""
        ...

    def weights(self, kinds: Sequence[str]) -> Tensor:
        """Return the share of each of some choices in the mixture, where the others are pruned, shape [C]."""
        ...


def mixture(gated: GatedChoices, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
    """Mix what the choices make of a prompt by their shares; pruned ones are not run.

    Args:
        gated: choices of one layer, with gates in [0, 1].
        prompt: from below, [B, P, H] or empty.
        hidden: states of the tokens, [B, T, H].
        mask: 1 for real tokens, [B, T].

    Returns:
        What the layer reads; with all gates 0 or 1 exactly what the discrete model has there.

    Source: SPT (arXiv 2310.20127); mixing prompts of several kinds is ours.
    """
    for kind, gate in gated.fixed.items():
        if gate == 1:
            inserted: PromptState = gated.module_of(kind)(prompt, hidden, mask)
            return inserted
    learned = [kind for kind in gated.kinds if kind not in gated.fixed]
    if not learned:
        return prompt
    shares = gated.weights(learned).split(1)
    states = [gated.module_of(kind)(prompt, hidden, mask) for kind in learned]
    return prompt.mixed(list(zip(states, shares, strict=True)))
