"""Costs of layers: what is chosen for them, and which subsets nothing else beats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.budget import Budget
from spt.architecture import PromptLayers
from spt.prompts.config import PromptConfig
from strategies.budgets import with_prompt_lengths
from strategies.costs import (
    ScoredSubset,
    by_layer_scores,
    by_slot_scores,
    choose,
    cost_of,
    pareto_front,
    scored_subsets,
)
from strategies.derivation import _best_layers
from strategies.options import DartsOptions

SCORES = {0: 0.90, 2: 0.91, 3: 0.89, 9: 0.89}
SUBSETS = scored_subsets(
    {PromptLayers.of([layer], 10): score for layer, score in SCORES.items()}, Budget(10, 1)
)


def test_a_later_first_layer_costs_less() -> None:
    budget = Budget(10, 2)
    assert cost_of(PromptLayers.of([0, 9], 10), budget) == 1
    assert cost_of(PromptLayers.of([7, 8], 10), budget) == pytest.approx(0.3)


OF_LENGTHS = with_prompt_lengths(
    Budget(4, 1, kinds=("insert_1", "insert_40", "scaling")),
    {"insert_1": 1, "insert_40": 40, "scaling": 0}.__getitem__,
    tokens=20.0,
)


@pytest.mark.parametrize(
    ("subset", "positions"),
    [
        ({0: "insert_40"}, 4 * 60),
        ({1: "insert_1"}, 3 * 21),
        ({1: "insert_1", 2: "scaling", 3: "insert_40"}, 21 + 21 + 60),
        ({2: "scaling", 3: "insert_1"}, 20 + 21),
    ],
)
def test_a_longer_prompt_costs_more(subset: dict[int, str], positions: int) -> None:
    assert cost_of(PromptLayers.of(subset, 4), OF_LENGTHS) == pytest.approx(positions / 240)


@pytest.mark.parametrize("subset", [{0: "free_5", 2: "free_2"}, {1: "free_2", 2: "scaling", 3: "free_5"}])
@pytest.mark.parametrize("combine", ["replace", "add"])
def test_a_cost_counts_the_positions_that_the_layers_run_on(subset: dict[int, str], combine: str) -> None:
    prompt = PromptConfig.model_validate({"generator": "free", "combine": combine})
    lengths = {"free_2": 2, "free_5": 5, "scaling": 0}
    budget = with_prompt_lengths(
        Budget(4, 3, exactly=False, kinds=tuple(lengths)), lengths.__getitem__, 20.0, combine == "add"
    )
    layers = PromptLayers.of(subset, 4)
    positions = [20 + length for length in layers.prompt_lengths(prompt)[layers.layers[0] :]]
    assert cost_of(layers, budget) == pytest.approx(sum(positions) / (4 * 25))


def test_kinds_of_one_length_cost_what_layers_do() -> None:
    budget = Budget(4, 1, kinds=("free", "generated"))
    assert with_prompt_lengths(budget, lambda _: 10, tokens=20.0) == budget


def test_a_short_prompt_is_chosen_over_a_long_one_that_is_hardly_better() -> None:
    scores = {(1, "insert_1"): 0.900, (1, "insert_40"): 0.901, (3, "insert_1"): 0.6, (3, "insert_40"): 0.7}
    budget = with_prompt_lengths(
        Budget(4, 1, candidates=(1, 3), kinds=("insert_1", "insert_40")),
        {"insert_1": 1, "insert_40": 40}.__getitem__,
        tokens=20.0,
    )
    derived = _best_layers(scores, {1: 0.901, 3: 0.7}, budget, evaluations=0)
    assert choose(derived.subsets, 0).kinds == ("insert_40",)
    assert choose(derived.subsets, 0.1).kinds == ("insert_1",)
    front = [(*subset.layers, *subset.kinds) for subset in pareto_front(derived.subsets)]
    assert front == [(3, "insert_1"), (3, "insert_40"), (1, "insert_1"), (1, "insert_40")]


@pytest.mark.parametrize(("weight", "layers"), [(0.0, (2,)), (0.02, (2,)), (0.03, (9,))])
def test_a_score_is_traded_against_the_cost(weight: float, layers: tuple[int, ...]) -> None:
    assert choose(SUBSETS, weight).layers == layers


@pytest.mark.parametrize(
    ("k", "layers", "kept"),
    [(1, [[1], [3], [0]], (3,)), (2, [[0, 1], [1, 3], [1, 2]], (1, 2))],
    ids=["of fewer operations", "of as many, the lower"],
)
def test_of_equal_scores_the_cheapest_is_kept(k: int, layers: list[list[int]], kept: tuple[int, ...]) -> None:
    tied = scored_subsets({PromptLayers.of(each, 4): 0.5 for each in layers}, Budget(4, k))
    assert choose(tied, 0).layers == kept
    assert pareto_front(tied) == (choose(tied, 0),)


def test_equal_scores_of_layers_tie_in_whatever_order_they_are_added() -> None:
    by_layer = {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.1}
    slots = {(layer, "free"): score for layer, score in by_layer.items()}
    budget = Budget(4, 3)
    limited = Budget(4, 3, kinds=("free",), parameters=(1,), most_parameters=3)
    for subsets in (by_layer_scores(by_layer, budget), by_slot_scores(slots, limited)):
        assert choose(subsets, 0).layers == (1, 2, 3)


def test_the_front_is_what_nothing_beats() -> None:
    assert [subset.layers for subset in pareto_front(SUBSETS)] == [(9,), (2,)]
    assert pareto_front([]) == ()


@given(
    scores=st.lists(st.integers(0, 5).map(float), min_size=5, max_size=5),
    k=st.integers(1, 3),
    weight=st.sampled_from([0.0, 0.5, 2.0, 50.0]),
)
def test_by_layers_nothing_better_is_left_out(scores: list[float], k: int, weight: float) -> None:
    budget = Budget(6, k, candidates=(0, 1, 2, 4, 5))
    by_layer = dict(zip(budget.allowed, scores, strict=True))

    def gain(subset: ScoredSubset) -> float:
        return subset.score - weight * subset.cost

    every = scored_subsets({s: sum(by_layer[i] for i in s.layers) / k for s in budget}, budget)
    some = by_layer_scores(by_layer, budget)
    assert set(some) <= set(every)
    assert max(map(gain, some)) == pytest.approx(max(map(gain, every)))
    assert {(s.score, s.cost) for s in pareto_front(some)} == {(s.score, s.cost) for s in pareto_front(every)}
    assert choose(every, weight) in pareto_front(every)


def test_a_short_prompt_low_down_may_be_cheaper_than_a_long_one_further_up() -> None:
    scores = {(i, kind): score for i in range(12) for kind, score in (("free_2", 0.1), ("free_100", 0.2))}
    scores |= {(4, "free_2"): 0.8, (4, "free_100"): 0.3, (5, "free_100"): 0.81, (11, "free_100"): 0.9}
    budget = Budget(12, 2, kinds=("free_2", "free_100"), lengths=(2, 100), tokens=10.0)
    of_layers = {i: max(scores[i, "free_2"], scores[i, "free_100"]) for i in range(12)}
    derived = _best_layers(scores, of_layers, budget, evaluations=0)
    cheap = choose(derived.subsets, 0.05)
    assert (cheap.layers, cheap.kinds) == ((4, 11), ("free_2", "free_100"))


def test_of_equal_layers_the_lower_ones_join_the_first() -> None:
    tied = by_layer_scores(dict.fromkeys(range(5), 0.5), Budget(5, 3))
    assert [subset.layers for subset in tied] == [(0, 1, 2), (1, 2, 3), (2, 3, 4)]


def test_with_parameters_only_first_layers_that_leave_room_for_all_count() -> None:
    budget = Budget(4, 2, exactly=False, kinds=("free", "generated"), parameters=(1, 3), most_parameters=4)
    scores = {(layer, "free"): float(layer) for layer in range(4)}
    scores |= {(layer, "generated"): 10.0 for layer in range(4)}
    subsets = {subset.layers: (subset.kinds, subset.score) for subset in by_slot_scores(scores, budget)}
    # layer 3 alone would score 10
    assert subsets == {(first, 3): (("generated", "free"), 6.5) for first in range(3)}


def test_open_gates_are_not_weighed() -> None:
    with pytest.raises(ValueError, match="derivation threshold takes every open gate"):
        DartsOptions(cost_weight=0.1, derivation="threshold", exactly=False)
