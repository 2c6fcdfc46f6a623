"""A layer's choice in a batch that mixes tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spt.layer_loop import Choice
from spt.prompts.choices import Propagate
from spt.prompts.state import EMPTY, PromptState


class TaskChoice(NamedTuple):
    """Hold a task's choice for a layer, Propagate or InsertPrompt, and the task's rows [N] in the batch."""

    choice: Choice
    rows: Tensor


class MixedChoice:
    """Apply each task's choice to its own rows; prompts of different lengths end where the tokens begin.

    Args:
        tasks: of the batch; no row belongs to two.
    """

    def __init__(self, tasks: Sequence[TaskChoice]) -> None:
        self.inserting = [task for task in tasks if not isinstance(task.choice, Propagate)]

    def __call__(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        """Return the prompt of all rows, from that of all rows below: hidden [B, T, H], mask [B, T]."""
        new = [
            (rows, choice(rows_prompt(prompt, rows), hidden[rows], mask[rows]))
            for choice, rows in self.inserting
        ]
        if not new:
            return prompt
        length = max(prompt.length, *(inserted.length for _, inserted in new))
        vectors = hidden.new_zeros(len(hidden), length, hidden.shape[-1])
        # which positions of a row hold a prompt: 0 or 1, [B, P]
        presence = hidden.new_zeros(len(hidden), length)
        if prompt.vectors is not None:
            vectors[:, length - prompt.length :] = prompt.vectors
            presence[:, length - prompt.length :] = 1 if prompt.presence is None else prompt.presence
        for rows, inserted in new:
            first = length - inserted.length
            presence[rows] = 0
            presence[rows, first:] = 1
            vectors[rows, first:] = inserted.present()
        return PromptState(vectors, presence, _joined_offsets(new, hidden))


def _joined_offsets(new: Sequence[tuple[Tensor, PromptState]], hidden: Tensor) -> Tensor | None:
    """Return what is added to the tokens of all rows, zero in those of tasks without an offset."""
    offsets = [(rows, inserted.offset) for rows, inserted in new if inserted.offset is not None]
    if not offsets:
        return None
    joined = torch.zeros_like(hidden)
    for rows, offset in offsets:
        joined[rows] = offset.to(hidden.dtype)
    return joined


def rows_prompt(prompt: PromptState, rows: Tensor) -> PromptState:
    """Return the prompt of some rows of one task, without the empty positions before it."""
    if prompt.vectors is None:
        return EMPTY
    if prompt.presence is None:
        return PromptState(prompt.vectors[rows])
    length = int(prompt.presence[rows[0]].sum())
    return PromptState(prompt.vectors[rows, prompt.length - length :]) if length else EMPTY
