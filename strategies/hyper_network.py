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
from search_spaces.prompt_layers import PROPAGATE, PromptLayerSpace
from spt.architecture import PromptLayers
from spt.model import PromptedModel
from spt.prompts.choices import GatedChoices, GatedPrompt, Propagate
from spt.prompts.state import PromptState
from strategies.costs import Slot


class GatedLayer(BaseSuperNetModule):  # type: ignore[misc]
    """A layer's choice as one gate a kind, in the form NNI's one-shot strategies expect."""

    def __init__(self, choice: LayerChoice) -> None:
        super().__init__()
        self.add_mutable(choice.choice)
        self.label = choice.label
        self.gated = GatedPrompt(choices_of(choice))

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        mixed: PromptState = self.gated(prompt, hidden, mask)
        return mixed

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the gates' logits."""
        yield self.gated.alpha

    def resample(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Sample nothing: gates mix all choices."""
        return {}

    def export(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Return the likelier choice of this layer alone; the strategy derives all layers together."""
        shares = self.export_probs(memo)[self.label]
        return {self.label: max(shares, key=shares.__getitem__)}

    def export_probs(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Return the shares of the mixture as NNI logs them."""
        shares = dict(zip(self.gated.kinds, self.gated.weights(self.gated.kinds).tolist(), strict=True))
        return {self.label: {PROPAGATE: 1 - sum(shares.values()), **shares}}

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
    return type(module) is LayerChoice and PROPAGATE in cast(Any, module).names


def choices_of(choice: LayerChoice) -> dict[str, nn.Module]:
    """Return what a layer may get, by kind."""
    return {name: choice[name] for name in choice.names if name != PROPAGATE}


class Dropped(Propagate):
    """A candidate that a search has given up for good: its generator and its gate cost nothing any more.

    The gated layer stays, so that optimisers find the parameters they were made with.
    """

    def __init__(self, layer: BaseSuperNetModule) -> None:
        super().__init__()
        self.layer = layer


class Gated(GatedChoices, Protocol):
    """A gated layer as search and derivation see it."""

    def gates(self) -> Tensor:
        """Return the gate of each kind, in [0, 1], shape [C]."""
        ...


def gated_layers(model: PromptedModel) -> dict[int, Gated]:
    """Return the gates of each candidate layer that is not dropped."""
    return {
        i: cast(Any, choice).gated
        for i, choice in enumerate(model.choices)
        if isinstance(choice, BaseSuperNetModule)
    }


def slots(model: PromptedModel) -> list[Slot]:
    """Return whatever has a gate, lowest layer first."""
    return [(layer, kind) for layer, gated in gated_layers(model).items() for kind in gated.kinds]


def kind_gates(model: PromptedModel) -> dict[Slot, float]:
    """Return the learned gate of every slot, in [0, 1]."""
    values = [value for gated in gated_layers(model).values() for value in gated.gates().tolist()]
    return dict(zip(slots(model), values, strict=True))


def gate_values(model: PromptedModel) -> dict[int, float]:
    """Return the learned gate of each candidate layer, its highest, in [0, 1]; 0 where it is dropped."""
    gates = {layer: max(gated.gates().tolist()) for layer, gated in gated_layers(model).items()}
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
def fixed_gates(model: PromptedModel, fixed: Mapping[Slot, float]) -> Iterator[None]:
    """Set some gates to 0 or 1 for a while; the others stay learned."""
    gates = gated_layers(model)
    before = {layer: dict(gates[layer].fixed) for layer, _ in fixed}
    try:
        for (layer, kind), value in fixed.items():
            gates[layer].fixed[kind] = value
        yield
    finally:
        for layer, earlier in before.items():
            gates[layer].fixed = earlier


def gates_for(model: PromptedModel, subset: PromptLayers) -> Mapping[Slot, float]:
    """Return gates of 1 for a subset and of 0 for all else: the discrete model inside the hyper-network."""
    chosen = set(subset.by_layer.items())
    return {slot: float(slot in chosen) for slot in slots(model)}
