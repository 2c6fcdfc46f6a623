"""The space of subsets alone: the samples of a PromptLayerSpace, and fit to travel."""

from __future__ import annotations

from itertools import combinations

import nni
import pytest
from nni.mutable import SampleValidationError
from nni.nas.space import ModelStatus
from numpy.random import RandomState

from search_spaces.budget import Budget
from search_spaces.prompt_layers import to_sample
from search_spaces.subsets import LayerSubsets, budget_of, layers_of
from spt.architecture import PromptLayers


def test_the_grid_is_every_subset() -> None:
    budget = Budget(5, 2, candidates=(0, 1, 3, 4))
    models = list(LayerSubsets(budget, None).grid())
    assert [layers_of(model).layers for model in models] == list(combinations((0, 1, 3, 4), 2))
    assert {model.status for model in models} == {ModelStatus.Frozen}


def test_random_samples_are_valid_and_repeat_with_their_seed() -> None:
    space = LayerSubsets(Budget(24, 4, exactly=False), None)
    found = [layers_of(space.random(random_state=RandomState(seed))) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert all(layers in space.budget for layers in found)


def test_a_sample_outside_the_budget_is_refused() -> None:
    space = LayerSubsets(Budget(4, 2), None)
    with pytest.raises(SampleValidationError, match="exactly 2"):
        space.freeze(to_sample(PromptLayers.of((1,), 4), space.budget))


@pytest.mark.parametrize("candidates", [None, (0, 2, 3)])
def test_it_travels_as_text(candidates: tuple[int, ...] | None) -> None:
    budget = Budget(4, 2, False, candidates, kinds=("insert", "free"), parameters=(4, 3), most_parameters=9)
    space = LayerSubsets(budget, None)
    frozen = space.freeze(to_sample(PromptLayers.of((0, 3), 4), space.budget))
    frozen.metrics.final = 0.5
    arrived = nni.load(nni.dump(frozen))
    assert arrived.executable_model() == frozen.executable_model() == layers_of(arrived)
    assert budget_of(arrived) == budget_of(space)
    assert (arrived.status, arrived.metric) == (ModelStatus.Frozen, 0.5)
