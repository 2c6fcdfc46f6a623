"""The prompt as it travels from layer to layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST = 1e-12


@dataclass(frozen=True)
class PromptState:
    """Hold a soft prompt and how much of it there is.

    Attributes:
        vectors: prompt states, [B, P, H]; None where no layer so far has inserted a prompt.
        presence: how much the prompt exists, in [0, 1], shape [1], [B] or, where a batch mixes prompts of
            different lengths, [B, P]; None stands for exactly 1, the only value a discrete model needs.
        offset: what is added to the tokens before they enter the layer whose choice gave it, [B, T, H]; None
            for nothing.

    Source: ours. The paper's rule for layers below the first prompt is not public; presence makes the
    relaxed network at gates 0/1 equal the discrete one.
    """

    vectors: Tensor | None = None
    presence: Tensor | None = None
    offset: Tensor | None = None

    @property
    def length(self) -> int:
        """Return P, zero for the empty state."""
        return 0 if self.vectors is None else self.vectors.shape[1]

    def present(self) -> Tensor:
        """Weight the vectors by their presence: all of a whole prompt, nothing of an absent one."""
        assert self.vectors is not None
        if self.presence is None:
            return self.vectors
        return (
            self.vectors * (self.presence if self.presence.ndim == 2 else self.presence[:, None])[..., None]
        )

    def moved(self, vectors: Tensor) -> PromptState:
        """Return the same prompt after a layer has transformed its vectors."""
        return PromptState(vectors, self.presence) if self.length else self

    def shifted(self, hidden: Tensor) -> Tensor:
        """Add the offset to the tokens: hidden [B, T, H] -> [B, T, H]."""
        return hidden if self.offset is None else hidden + self.offset.to(hidden.dtype)

    def mixed(self, new: PromptState, gate: Tensor) -> PromptState:
        """Mix (1 - gate) * self + gate * new, presence included; nothing from below shifts the tokens.

        Args:
            new: a fully present prompt [B, P, H].
            gate: values in [0, 1], shape [1] or [B].
        """
        assert new.vectors is not None
        column = gate_column(gate)
        offset = None if new.offset is None else column * new.offset
        if self.vectors is None:
            return PromptState(column * new.vectors, gate, offset)
        old_presence = torch.ones_like(gate) if self.presence is None else self.presence
        return PromptState(
            (1 - column) * self.vectors + column * new.vectors, (1 - gate) * old_presence + gate, offset
        )

    def log_presence(self, smallest: float) -> Tensor:
        """Return log(presence), `smallest` where presence is 0; of the same shape."""
        assert self.presence is not None
        log = self.presence.clamp_min(_SMALLEST).log()
        return torch.where(self.presence > 0, log, torch.full_like(log, smallest))


def gate_column(gate: Tensor) -> Tensor:
    """Shape a gate [1] or [B] to multiply prompt vectors: [1 or B, 1, 1]."""
    return gate[:, None, None]


EMPTY = PromptState()
