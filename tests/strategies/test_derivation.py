"""From gates to layers: each rule against scores that can be counted by hand."""

from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from nni.nas.nn.pytorch import LayerChoice
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import nn

from search_spaces.budget import Budget
from search_spaces.prompt_layers import PromptLayerSpace
from spt.architecture import PromptLayers
from spt.build import ModelFactory
from spt.heads import ClassificationHead
from spt.model import PromptedModel, trained
from spt.prompts.config import PromptConfig
from spt.prompts.kinds import INSERT
from strategies.costs import pareto_front
from strategies.derivation import DERIVATIONS, DerivationOptions, Derived, most_evaluations
from strategies.hyper_network import (
    GatedLayer,
    drop,
    fixed_gates,
    gate_values,
    gated_layers,
    gates_for,
    remaining_budget,
)
from tests.support.families import HIDDEN, batch, shared_backbone

GATES = {0: 0.3, 1: 0.9, 2: 0.5, 3: 0.7}
WORTH = {0: 8.0, 1: 1.0, 2: 4.0, 3: 2.0}
LAYERS = tuple(GATES)


def factory() -> ModelFactory:
    prompt = PromptConfig(length=2, bottleneck=4, phm_order=1)
    backbone = shared_backbone("bert", "sdpa")
    return ModelFactory(backbone, prompt, lambda: ClassificationHead(HIDDEN, 2), seed=0)


def hyper_network(budget: Budget, made: ModelFactory | None = None) -> PromptLayerSpace:
    """A space whose choices are gates, as a search leaves it."""
    space = PromptLayerSpace(made or factory(), budget)
    for layer, choice in enumerate(space.choices):
        if isinstance(choice, LayerChoice):
            space.choices[layer] = GatedLayer(choice)
            space.choices[layer].gated.alpha.data.fill_(torch.tensor(GATES[layer]).logit().item())
    return space


class Scored:
    """A dev score of what the gates are now: each layer that is not pruned adds its worth."""

    def __init__(
        self, model: PromptedModel, together: float = 0.0, worth: dict[int, float] | None = None
    ) -> None:
        self.model = model
        self.together = together
        self.worth = worth or WORTH
        self.seen: list[dict[int, float | None]] = []

    def __call__(self) -> float:
        fixed = {layer: gated.fixed.get(INSERT) for layer, gated in gated_layers(self.model).items()}
        self.seen.append(fixed)
        active = {layer for layer, value in fixed.items() if value != 0}
        return sum(self.worth[layer] for layer in active) + (self.together if {1, 3} <= active else 0.0)


@pytest.mark.parametrize(("k", "layers"), [(1, (1,)), (2, (1, 3)), (3, (1, 2, 3))])
def test_top_k_takes_the_highest_gates_and_scores_nothing(k: int, layers: tuple[int, ...]) -> None:
    budget = Budget(4, k)
    space = hyper_network(budget)
    score = Scored(space)
    derived = DERIVATIONS["top_k"](space, budget, score, DerivationOptions())
    assert derived.layers == layers
    assert derived.scores == pytest.approx(GATES)
    assert derived.evaluations == len(score.seen) == 0


def test_top_k_takes_the_lower_layer_of_a_tie_and_candidates_only() -> None:
    budget = Budget(4, 1, candidates=(0, 2, 3))
    space = hyper_network(budget)
    for gated in gated_layers(space).values():
        gated.alpha.data.zero_()
    derived = DERIVATIONS["top_k"](space, budget, Scored(space), DerivationOptions())
    assert derived.layers == (0,)
    assert derived.scores.keys() == {0, 2, 3}


@pytest.mark.parametrize(("rule", "of_dropped"), [("top_k", {0: 0.0}), ("ablation", {}), ("pruned", {})])
def test_a_dropped_layer_is_never_chosen_and_has_no_score_of_dev(
    rule: str, of_dropped: dict[int, float]
) -> None:
    space = hyper_network(Budget(4, 2))
    drop(space, [0])
    derived = DERIVATIONS[rule](space, remaining_budget(space), Scored(space), DerivationOptions())
    assert 0 not in derived.layers
    assert not any(0 in subset.layers for subset in derived.subsets)
    assert {layer: score for layer, score in derived.scores.items() if layer == 0} == of_dropped


def test_ablation_scores_without_and_alone() -> None:
    budget = Budget(4, 2)
    space = hyper_network(budget)
    score = Scored(space, together=32.0)
    derived = DERIVATIONS["ablation"](space, budget, score, DerivationOptions())
    # S(M) - S(M without i) is the worth, with the bonus for 1 and 3; S(only i) is the worth again
    assert derived.scores == {0: 16.0, 1: 34.0, 2: 8.0, 3: 36.0}
    assert derived.layers == (1, 3)
    assert derived.evaluations == len(score.seen) == 9
    without = [{i: 0.0 if i == layer else None for i in LAYERS} for layer in LAYERS]
    alone = [{i: None if i == layer else 0.0 for i in LAYERS} for layer in LAYERS]
    assert sorted(map(str, score.seen)) == sorted(map(str, [dict.fromkeys(LAYERS), *without, *alone]))


@pytest.mark.parametrize("rule", ["ablation", "pruned"])
def test_of_equal_dev_scores_the_layers_on_the_front_are_taken(rule: str) -> None:
    budget = Budget(4, 2)
    space = hyper_network(budget)
    derived = DERIVATIONS[rule](space, budget, lambda: 1.0, DerivationOptions())
    assert derived.layers == (2, 3)
    assert [subset.layers for subset in pareto_front(derived.subsets)] == [(2, 3)]


def test_ablation_ties_what_differs_in_its_last_bits_and_takes_the_cheaper_layer() -> None:
    budget = Budget(4, 1)
    space = hyper_network(budget)
    # without layer 3 the sum is 0.9999999999999999, without layer 0 it is 1.0
    score = Scored(space, worth={0: 0.7, 1: 0.1, 2: 0.2, 3: 0.7})
    assert DERIVATIONS["ablation"](space, budget, score, DerivationOptions()).layers == (3,)


@pytest.mark.parametrize("exactly", [True, False])
def test_pruned_tries_every_subset_as_a_discrete_model(exactly: bool) -> None:
    budget = Budget(4, 2, exactly=exactly)
    space = hyper_network(budget)
    score = Scored(space, together=32.0)
    derived = DERIVATIONS["pruned"](space, budget, score, DerivationOptions())
    sizes = (2,) if exactly else (1, 2)
    subsets = [subset for size in sizes for subset in combinations(LAYERS, size)]
    assert derived.layers == (1, 3)
    assert derived.evaluations == len(subsets)
    seen = [{i: float(i in subset) for i in LAYERS} for subset in subsets]
    assert sorted(map(str, score.seen)) == sorted(map(str, seen))
    values = {s: sum(WORTH[i] for i in s) + (32.0 if s == (1, 3) else 0.0) for s in subsets}
    for layer in LAYERS:
        held = [value for subset, value in values.items() if layer in subset]
        assert derived.scores[layer] == pytest.approx(sum(held) / len(held))


@pytest.mark.parametrize("rule", DERIVATIONS)
def test_gates_are_as_before_afterwards(rule: str) -> None:
    budget = Budget(4, 2)
    space = hyper_network(budget)
    gated_layers(space)[2].fixed = {INSERT: 1.0}
    DERIVATIONS[rule](space, budget, Scored(space), DerivationOptions())
    assert {layer: gated.fixed for layer, gated in gated_layers(space).items()} == {
        0: {},
        1: {},
        2: {INSERT: 1.0},
        3: {},
    }
    assert gate_values(space) == pytest.approx(GATES)


class Gate(BaseSuperNetModule):
    """What a derivation needs of a gated layer."""

    kinds = (INSERT,)

    def __init__(self) -> None:
        super().__init__()
        self.fixed: dict[str, float] = {}

    @property
    def gated(self) -> Gate:
        return self


def large(options: DerivationOptions) -> tuple[Derived, Scored]:
    """'pruned' in a space of 1,820 subsets, where a layer is worth its number."""
    space = cast(PromptedModel, SimpleNamespace(choices=[Gate() for _ in range(16)]))
    score = Scored(space, worth={layer: float(layer) for layer in range(16)})
    return DERIVATIONS["pruned"](space, Budget(16, 4), score, options), score


def test_pruned_evolves_where_it_may_not_try_every_subset() -> None:
    derived, score = large(DerivationOptions(evaluations=150))
    assert derived.evaluations == len(score.seen) == 150
    assert len({str(seen) for seen in score.seen}) == 150
    # of 150 subsets drawn at random the best is worth about 48
    assert sum(derived.layers) >= 50
    assert derived.scores.keys() == set(range(16))
    assert large(DerivationOptions(evaluations=150))[0] == derived
    assert large(DerivationOptions(evaluations=150, seed=1))[1].seen != score.seen


def test_pruned_gives_a_layer_that_no_scored_subset_holds_the_mean_of_all() -> None:
    derived, score = large(DerivationOptions(evaluations=3))
    held = [{layer for layer, gate in seen.items() if gate} for seen in score.seen]
    values = [float(sum(layers)) for layers in held]
    without = set(range(16)).difference(*held)
    assert without
    for layer in range(16):
        mine = [value for layers, value in zip(held, values, strict=True) if layer in layers] or values
        assert derived.scores[layer] == pytest.approx(sum(mine) / len(mine))


@pytest.mark.parametrize(("least", "layers"), [(0.6, (1, 3)), (0.8, (1,)), (0.95, (1,)), (0.1, (1, 2, 3))])
def test_threshold_takes_the_gates_above_it_at_most_k_and_at_least_one(
    least: float, layers: tuple[int, ...]
) -> None:
    budget = Budget(4, 3, exactly=False)
    derived = DERIVATIONS["threshold"](
        hyper_network(budget), budget, lambda: 0.0, DerivationOptions(threshold=least)
    )
    assert derived.layers == layers
    assert PromptLayers.of(derived.layers, 4) in budget


@pytest.mark.parametrize("rule", DERIVATIONS)
def test_the_number_of_evaluations_is_known_before(rule: str) -> None:
    budget = Budget(4, 2, exactly=False)
    space = hyper_network(budget)
    options = DerivationOptions(evaluations=7)
    derived = DERIVATIONS[rule](space, budget, Scored(space), options)
    assert derived.evaluations == most_evaluations(rule, budget, options)


@pytest.mark.parametrize("layers", [(), (0,), (1, 2), (0, 1, 2)], ids=str)
@torch.no_grad()
def test_gates_for_layers_are_the_discrete_model_inside_the_hyper_network(layers: tuple[int, ...]) -> None:
    made, inputs = factory(), batch("bert", [5, 3])
    space = hyper_network(Budget(3, 1), made)
    discrete = made.model(PromptLayers.of(layers, 3))
    with fixed_gates(space, gates_for(space, PromptLayers.of(layers, 3))):
        found = space(inputs).logits
    torch.testing.assert_close(found, discrete(inputs).logits, rtol=0, atol=1e-5)
    assert (space(inputs).logits - found).abs().max() > 1e-3


def test_fixed_gates_are_freed_after_an_error_and_nest() -> None:
    space = hyper_network(Budget(4, 2))
    gates = gated_layers(space)
    first, second = (0, INSERT), (1, INSERT)
    with fixed_gates(space, {first: 0.0}):
        with pytest.raises(ZeroDivisionError), fixed_gates(space, {first: 1.0, second: 1.0}):
            assert (gates[0].fixed, gates[1].fixed) == ({INSERT: 1.0}, {INSERT: 1.0})
            raise ZeroDivisionError
        assert (gates[0].fixed, gates[1].fixed) == ({INSERT: 0.0}, {})
    assert gates[0].fixed == {}


def test_only_candidate_layers_become_gates_and_their_logits_train() -> None:
    space = hyper_network(Budget(4, 1, candidates=(1, 3)))
    assert gated_layers(space).keys() == {1, 3}
    assert {name for name, _ in trained(space) if name.endswith("alpha")} == {
        "choices.1.gated.alpha",
        "choices.3.gated.alpha",
    }


def test_a_gated_layer_speaks_nnis_language() -> None:
    space = hyper_network(Budget(4, 2))
    assert space.choices[0].export({}) == {"layer_0": "propagate"}
    assert space.choices[1].export({}) == {"layer_1": "insert"}
    (chances,) = space.choices[1].export_probs({}).values()
    assert chances == pytest.approx({"insert": 0.9, "propagate": 0.1})
    assert GatedLayer.mutate(nn.Linear(1, 1), "", {}, {}) is None
