"""The branches: above the trunk each task's row has its own prompt, and all run in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from spt.answers.decisions import class_probabilities
from spt.backbones.base import Backbone
from spt.heads import Output
from spt.layer_loop import Choice, run_layers
from spt.prompts.choices import Propagate
from spt.prompts.state import EMPTY, PromptState
from spt.serving.served_task import ServedTask
from spt.serving.trunk import TrunkStates
from spt.start import Start


class Branch(NamedTuple):
    """Ask a task about a row of a batch of inputs."""

    task: str
    row: int


@dataclass(frozen=True)
class BranchGroup:
    """Hold the branches of one task, which follow each other in a batch of branches.

    Attributes:
        task: theirs.
        branches: in the batch's order.
        rows: where they are in the batch.
    """

    task: ServedTask
    branches: list[Branch]
    rows: slice

    def of(self, fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the group's rows of what is said of all rows' tokens, [B, T] each."""
        return {name: value[self.rows] for name, value in fields.items()}

    def length_below(self, layer: int) -> int:
        """Return P of the task's prompt before it meets the choice of a layer; L is above the last."""
        return self.task.prompt_lengths[layer - 1] if layer else 0

    def own(self, prompt: PromptState, layer: int) -> PromptState:
        """Return the prompt of the group's rows below a layer, without the empty positions in front of it."""
        length = self.length_below(layer)
        if prompt.vectors is None or not length:
            return EMPTY
        return PromptState(prompt.vectors[self.rows, prompt.length - length :])


class MixedChoice:
    """Apply each task's choice for a layer to its own rows; prompts end where the tokens begin.

    Args:
        groups: of the batch.
        layer: whose choices these are.
    """

    def __init__(self, groups: Sequence[BranchGroup], layer: int) -> None:
        choices = [(group, group.task.choices[layer]) for group in groups]
        self.groups, self.layer = groups, layer
        self.choosing: list[tuple[BranchGroup, Choice]] = [
            (group, choice) for group, choice in choices if not isinstance(choice, Propagate)
        ]

    def __call__(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        """Return the prompt of all rows, from that of all rows below: hidden [B, T, H], mask [B, T]."""
        if not self.choosing:
            return prompt
        vectors, offset = None if prompt.vectors is None else prompt.vectors.clone(), None
        for group, choice in self.choosing:
            new = choice(group.own(prompt, self.layer), hidden[group.rows], mask[group.rows])
            if new.length:
                assert vectors is not None
                vectors[group.rows, prompt.length - new.length :] = new.present()
            if new.offset is not None:
                offset = torch.zeros_like(hidden) if offset is None else offset
                offset[group.rows] = new.offset.to(hidden.dtype)
        return PromptState(vectors, self._presence(prompt, hidden), offset)

    def _presence(self, prompt: PromptState, hidden: Tensor) -> Tensor | None:
        """Return the presence of all rows' prompts: the very one from below where no length changes."""
        # where a task begins, there was room for what its first layer gives
        changes = any(
            group.length_below(self.layer) != group.length_below(self.layer + 1)
            for group, _ in self.choosing
            if self.layer > group.task.first_layer
        )
        return _presence(self.groups, self.layer, prompt.length, hidden) if changes else prompt.presence


def branch_order(branches: Sequence[Branch], tasks: Mapping[str, ServedTask]) -> list[Branch]:
    """Sort branches as they begin, those of a task together: cut anywhere, few tasks share a batch."""
    return sorted(branches, key=lambda branch: (tasks[branch.task].first_layer, branch))


def run_branches(
    backbone: Backbone, tasks: Mapping[str, ServedTask], states: TrunkStates, branches: Sequence[Branch]
) -> Iterator[tuple[Branch, NDArray[Any]]]:
    """Run branches together, each from the layer where its task's prompts begin.

    Args:
        backbone: whose layers run.
        tasks: by name.
        states: of the trunk, which every branch finds at its first layer.
        branches: in the order of `branch_order`.

    Yields:
        Each branch and its class probabilities [C].
    """
    fields = states.fields([branch.row for branch in branches])
    waiting = _groups(branches, tasks)
    running: list[BranchGroup] = []
    width = fields["attention_mask"].shape[1]
    hidden, prompt = states.at[waiting[0].task.first_layer][:0, :width], EMPTY
    starts = sorted({group.task.first_layer for group in waiting} | {backbone.num_layers})
    # the last pair runs no layer: tasks without a prompt join there, for their heads
    for layer, stop in pairwise([*starts, backbone.num_layers]):
        joining = [group for group in waiting if group.task.first_layer == layer]
        if joining:
            running += joining
            hidden = torch.cat([hidden, *(_first_tokens(states, group, fields) for group in joining)])
            prompt = _with_room(prompt, running, hidden, min(layer, backbone.num_layers - 1))
        mask = fields["attention_mask"][: len(hidden)]
        choices = [MixedChoice(running, index) for index in range(backbone.num_layers)]
        padded = any(states.lengths[branch.row] < width for group in running for branch in group.branches)
        start = Start(layer, hidden)
        prompt, hidden = run_layers(backbone, choices, start, mask, padded=padded, prompt=prompt, stop=stop)
    hidden = backbone.finish(hidden)
    for group in running:
        output: Output = group.task.head(
            hidden[group.rows], group.of(fields), group.own(prompt, backbone.num_layers)
        )
        probabilities = class_probabilities(output.logits, group.task.classifier.spec.task)
        yield from zip(group.branches, probabilities.cpu().numpy(), strict=True)


def _groups(branches: Sequence[Branch], tasks: Mapping[str, ServedTask]) -> list[BranchGroup]:
    groups, first = [], 0
    for name, each in groupby(branches, key=lambda branch: branch.task):
        own = list(each)
        groups.append(BranchGroup(tasks[name], own, slice(first, first + len(own))))
        first += len(own)
    return groups


def _first_tokens(states: TrunkStates, group: BranchGroup, fields: Mapping[str, Tensor]) -> Tensor:
    """Return what the first layer of a group reads of its tokens, [N, T, H]."""
    own = group.of(fields)
    rows = [branch.row for branch in group.branches]
    hidden = states.at[group.task.first_layer][rows, : own["attention_mask"].shape[1]]
    if group.task.template_prompt is None:
        return hidden
    inserted: Tensor = group.task.template_prompt(hidden, own)
    return inserted


def _with_room(prompt: PromptState, groups: Sequence[BranchGroup], hidden: Tensor, layer: int) -> PromptState:
    """Give the rows of groups as many positions as the longest prompt of theirs will have.

    Args:
        prompt: of the first rows; the others have none yet.
        groups: of all rows.
        hidden: of all rows, [B, T, H].
        layer: that the rows enter.
    """
    longest = max(max(group.task.prompt_lengths) for group in groups)
    if not longest:
        return EMPTY
    vectors = hidden.new_zeros(len(hidden), longest, hidden.shape[-1])
    if prompt.vectors is not None:
        vectors[: len(prompt.vectors), longest - prompt.length :] = prompt.vectors
    return PromptState(vectors, _presence(groups, layer, longest, hidden))


def _presence(groups: Sequence[BranchGroup], layer: int, longest: int, hidden: Tensor) -> Tensor | None:
    """Say which positions of the longest prompt the rows [B, T, H] have in a layer; None for all of them."""
    lengths = [group.length_below(layer + 1) for group in groups for _ in group.branches]
    if not longest or min(lengths) == longest:
        return None
    first = longest - torch.tensor(lengths, device=hidden.device)
    places = torch.arange(longest, device=hidden.device)
    return (places >= first[:, None]).to(hidden.dtype)
