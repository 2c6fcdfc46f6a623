"""The prompt as it travels from layer to layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

_SMALLEST = 1e-12


@dataclass(frozen=True)
class PromptState:
    """Hold a soft prompt and how much of it there is.

    Attributes:
        vectors: prompt states, [B, P, H]; None where no layer so far has inserted a prompt.
        presence: how much the prompt exists, in [0, 1], shape [1], [B] or, where prompts of different lengths
            are mixed, [1 or B, P]; None stands for exactly 1, the only value a discrete model needs.
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

    def mixed(self, choices: Sequence[tuple[PromptState, Tensor]]) -> PromptState:
        """Mix what choices made of this prompt, each as far as its gate is open, with what is left of it.

        Vectors are lined up where the tokens begin: of prompts of several lengths the positions in front are
        present as far as those that have them are.

        Args:
            choices: what each makes of this prompt, and its gate: values in [0, 1], shape [1] or [B]; all
                together are at most 1. What has the very vectors of this prompt is no new one.
        """
        shifts = [gate_column(gate) * new.offset for new, gate in choices if new.offset is not None]
        offset = sum(shifts[1:], shifts[0]) if shifts else None
        inserted = [(new, gate) for new, gate in choices if new.vectors is not self.vectors]
        if not inserted:
            return PromptState(self.vectors, self.presence, offset)
        left = 1 - sum((gate for _, gate in inserted[1:]), start=inserted[0][1])
        sources = [*([] if self.vectors is None else [(self, left)]), *inserted]
        longest = max(source.length for source, _ in sources)
        vectors = [gate_column(share) * _lengthened(source.vectors, longest) for source, share in sources]
        presences = [source._presence_of(share, longest) for source, share in sources]
        return PromptState(reduce(torch.add, vectors), reduce(_sum_of_presences, presences), offset)

    def _presence_of(self, share: Tensor, longest: int) -> Tensor:
        """Return the presence of a share [1] or [B] of this prompt, by position where another is longer."""
        presence = share
        if self.presence is not None:
            presence = (share if self.presence.ndim == 1 else share[:, None]) * self.presence
        if self.length == longest:
            return presence
        columns = presence if presence.ndim == 2 else presence[:, None].expand(-1, self.length)
        return functional.pad(columns, (longest - self.length, 0))

    def added(self, new: Tensor, offset: Tensor | None = None) -> PromptState:
        """Add a new prompt [B, P, H] to what is present of this one, lined up where the tokens begin."""
        if not self.length:
            return PromptState(new, offset=offset)
        longest = max(self.length, new.shape[1])
        vectors = _lengthened(new, longest) + _lengthened(self.present(), longest)
        presence = None
        if self.presence is not None and self.length > new.shape[1]:
            below = self.presence if self.presence.ndim == 2 else self.presence[:, None]
            is_new = torch.arange(longest, device=new.device) >= longest - new.shape[1]
            presence = torch.where(is_new, torch.ones_like(below), below)
        return PromptState(vectors, presence, offset)

    def log_presence(self, smallest: float) -> Tensor:
        """Return log(presence), `smallest` where presence is 0; of the same shape."""
        assert self.presence is not None
        log = self.presence.clamp_min(_SMALLEST).log()
        return torch.where(self.presence > 0, log, torch.full_like(log, smallest))


def _lengthened(vectors: Tensor | None, longest: int) -> Tensor:
    """Put empty positions in front of vectors [B, P, H], up to the longest prompt's."""
    assert vectors is not None
    missing = longest - vectors.shape[1]
    return functional.pad(vectors, (0, 0, missing, 0)) if missing else vectors


def _sum_of_presences(first: Tensor, second: Tensor) -> Tensor:
    """Add presences of which one may be by position."""
    if first.ndim == second.ndim:
        return first + second
    columns = [each if each.ndim == 2 else each[:, None] for each in (first, second)]
    return columns[0] + columns[1]


def gate_column(gate: Tensor) -> Tensor:
    """Shape a gate [1] or [B] to multiply prompt vectors: [1 or B, 1, 1]."""
    return gate[:, None, None]


EMPTY = PromptState()
