"""Costs of layers: what is chosen for them, and which subsets nothing else beats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.budget import Budget
from spt.architecture import PromptLayers
from strategies.costs import ScoredSubset, by_layer_scores, choose, cost_of, pareto_front, scored_subsets
from strategies.options import DartsOptions

SCORES = {0: 0.90, 2: 0.91, 3: 0.89, 9: 0.89}
SUBSETS = scored_subsets({PromptLayers.of([layer], 10): score for layer, score in SCORES.items()})


def test_a_later_first_layer_costs_less() -> None:
    assert cost_of((0, 9), 10) == 1
    assert cost_of((7, 8), 10) == pytest.approx(0.3)


@pytest.mark.parametrize(("weight", "layers"), [(0.0, (2,)), (0.02, (2,)), (0.03, (9,))])
def test_a_score_is_traded_against_the_cost(weight: float, layers: tuple[int, ...]) -> None:
    assert choose(SUBSETS, weight).layers == layers


def test_the_lower_layers_win_a_tie() -> None:
    tied = {PromptLayers.of([3], 4): 0.5, PromptLayers.of([1], 4): 0.5}
    assert choose(scored_subsets(tied), 0).layers == (1,)


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

    every = scored_subsets({s: sum(by_layer[i] for i in s.layers) / k for s in budget})
    some = by_layer_scores(by_layer, budget)
    assert set(some) <= set(every)
    assert max(map(gain, some)) == pytest.approx(max(map(gain, every)))
    assert {(s.score, s.cost) for s in pareto_front(some)} == {(s.score, s.cost) for s in pareto_front(every)}


def test_open_gates_are_not_weighed() -> None:
    with pytest.raises(ValueError, match="derivation threshold takes every open gate"):
        DartsOptions(cost_weight=0.1, derivation="threshold", exactly=False)
