"""The relaxed space: every candidate layer's choice becomes a gate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol, cast

from nni.nas.nn.pytorch import LayerChoice
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import Tensor, nn

from search_spaces.budget import Budget
from search_spaces.prompt_layers import INSERT, PROPAGATE, PromptLayerSpace
from spt.model import PromptedModel
from spt.prompts.choices import GatedPrompt, InsertPrompt, Propagate
from spt.prompts.state import PromptState


class GatedLayer(BaseSuperNetModule):  # type: ignore[misc]
    """A layer's {propagate, insert} choice as one gate, in the form NNI's one-shot strategies expect."""

    def __init__(self, choice: LayerChoice) -> None:
        super().__init__()
        self.add_mutable(choice.choice)
        self.label = choice.label
        self.gated = GatedPrompt(choice[INSERT])

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        mixed: PromptState = self.gated(prompt, hidden, mask)
        return mixed

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the gate's logit."""
        yield self.gated.alpha

    def resample(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Sample nothing: a gate mixes both choices."""
        return {}

    def export(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Return the likelier choice of this layer alone; the strategy derives all layers together."""
        return {self.label: INSERT if self.gated.gate().item() > 0.5 else PROPAGATE}

    def export_probs(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Return the gate as NNI logs it."""
        gate = self.gated.gate().item()
        return {self.label: {PROPAGATE: 1 - gate, INSERT: gate}}

    @classmethod
    def mutate(
        cls,
        module: nn.Module,
        name: str,
        memo: dict[str, Any],
        mutate_kwargs: dict[str, Any],
    ) -> GatedLayer | None:
        """Replace the layer choices of a PromptLayerSpace: NNI's mutation hook."""
        return cls(module) if is_layer_choice(module) else None


def is_layer_choice(module: nn.Module) -> bool:
    """Say whether a module is a layer's choice as a PromptLayerSpace has it, not yet replaced."""
    return type(module) is LayerChoice and set(cast(Any, module).names) == {PROPAGATE, INSERT}


class Dropped(Propagate):
    """A candidate that a search has given up for good: its generator and its gate cost nothing any more.

    The gated layer stays, so that optimisers find the parameters they were made with.
    """

    def __init__(self, layer: BaseSuperNetModule) -> None:
        super().__init__()
        self.layer = layer


class Gated(Protocol):
    """A gated layer as search and derivation see it.

    Attributes:
        fixed: replaces the learned gate by 0 or 1; None leaves it learned.
        insert: makes the new prompt.
    """

    fixed: float | None
    insert: InsertPrompt

    def gate(self) -> Tensor:
        """Return the gate in [0, 1], shape [1]."""
        ...


def gated_layers(model: PromptedModel) -> dict[int, Gated]:
    """Return the gate of each candidate layer that is not dropped."""
    return {
        i: cast(Any, choice).gated
        for i, choice in enumerate(model.choices)
        if isinstance(choice, BaseSuperNetModule)
    }


def gate_values(model: PromptedModel) -> dict[int, float]:
    """Return the learned gate of each candidate layer, in [0, 1]; 0 where it is dropped."""
    gates = {layer: gated.gate().item() for layer, gated in gated_layers(model).items()}
    return dict(sorted({**gates, **dict.fromkeys(dropped_layers(model), 0.0)}.items()))


def drop(model: PromptedModel, layers: Iterable[int]) -> None:
    """Give up candidate layers for good."""
    for layer in layers:
        model.choices[layer] = Dropped(cast(BaseSuperNetModule, model.choices[layer]))


def dropped_layers(model: PromptedModel) -> list[int]:
    """Return the candidate layers that are given up, lowest first."""
    return [i for i, choice in enumerate(model.choices) if isinstance(choice, Dropped)]


def remaining_budget(model: PromptLayerSpace) -> Budget:
    """Return the model's budget over the candidates that are not dropped."""
    return replace(model.budget, candidates=tuple(gated_layers(model)))


@contextmanager
def fixed_gates(model: PromptedModel, fixed: Mapping[int, float]) -> Iterator[None]:
    """Set the gates of some layers to 0 or 1 for a while; the others stay learned."""
    gates = gated_layers(model)
    before = {layer: gates[layer].fixed for layer in fixed}
    try:
        for layer, value in fixed.items():
            gates[layer].fixed = value
        yield
    finally:
        for layer, earlier in before.items():
            gates[layer].fixed = earlier


def gates_for(model: PromptedModel, layers: Iterable[int]) -> Mapping[int, float]:
    """Return gates of 1 for `layers` and of 0 for all others: the discrete model inside the hyper-network."""
    chosen = set(layers)
    return {layer: float(layer in chosen) for layer in gated_layers(model)}
