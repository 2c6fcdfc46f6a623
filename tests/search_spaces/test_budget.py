"""Budgets make valid subsets directly, uniformly, and refuse what cannot be met."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import RandomState

from search_spaces.budget import Budget
from spt.errors import InputError


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    total = draw(st.integers(1, 30))
    candidates = draw(st.none() | st.sets(st.integers(0, total - 1), min_size=1).map(tuple))
    k = draw(st.integers(1, total if candidates is None else len(candidates)))
    return Budget(total, k, draw(st.booleans()), candidates)


@given(budgets(), st.integers(0, 2**31))
def test_samples_satisfy_the_budget(budget: Budget, seed: int) -> None:
    random = RandomState(seed)
    for _ in range(5):
        layers = budget.sample(random)
        assert layers in budget
        assert set(layers) <= set(budget.allowed)
        assert len(layers) == budget.k if budget.exactly else 1 <= len(layers) <= budget.k


@pytest.mark.parametrize("exactly", [True, False])
def test_enumeration_is_every_subset_once(exactly: bool) -> None:
    budget = Budget(6, 3, exactly, candidates=(0, 2, 3, 5))
    sizes = [3] if exactly else [1, 2, 3]
    expected = [subset for size in sizes for subset in combinations((0, 2, 3, 5), size)]
    assert list(budget) == expected
    assert len(budget) == len(expected)


def test_sampling_is_uniform_over_subsets_of_all_sizes() -> None:
    budget, random = Budget(4, 2, exactly=False), RandomState(0)
    counts = Counter(budget.sample(random) for _ in range(5000))
    assert len(counts) == len(budget) == 10
    assert max(counts.values()) / min(counts.values()) < 1.4


@pytest.mark.parametrize("layers", [(0,), (0, 1, 2), (1, 1), (0, 9), [0, 1], "01"])
def test_other_subsets_are_outside(layers: object) -> None:
    assert layers not in Budget(6, 2)


def test_top_takes_the_highest_scores_of_the_candidates_and_the_lower_layer_of_a_tie() -> None:
    budget = Budget(5, 2, candidates=(0, 2, 4))
    assert budget.top({0: 0.5, 2: 0.5, 4: 0.9, 1: 1.0, 3: 1.0}) == (0, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((6, 7), "budget is 7 prompt layers, but must be from 1 to 6"),
        ((6, 0), "budget is 0 prompt layers"),
        ((6, 3, True, (1, 2)), "from 1 to 2"),
        ((6, 1, True, (1, 6)), r"Candidate layers \[6\] do not exist: the backbone has layers 0 to 5"),
    ],
)
def test_a_budget_that_cannot_be_met_is_refused(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Budget(*arguments)


@given(budgets(), st.integers(0, 2**32 - 1))
def test_a_neighbour_is_one_step_away(budget: Budget, seed: int) -> None:
    random = RandomState(seed)
    layers = budget.sample(random)
    other = budget.neighbour(layers, random)
    assert other in budget
    gone, new = set(layers) - set(other), set(other) - set(layers)
    if len(budget) == 1:
        assert other == layers
    else:
        assert max(len(gone), len(new)) == 1
    if budget.exactly:
        assert len(gone) == len(new)


@given(budgets(), st.integers(0, 2**32 - 1))
def test_neighbours_lead_to_every_subset(budget: Budget, seed: int) -> None:
    if len(budget) > 20:
        return
    random = RandomState(seed)
    layers = budget.sample(random)
    seen = {layers}
    for _ in range(4000):
        layers = budget.neighbour(layers, random)
        seen.add(layers)
        if len(seen) == len(budget):
            return
    raise AssertionError(f"only {seen} of {budget}")


@given(budgets(), st.integers(0, 2**32 - 1))
def test_a_child_has_its_parents_layers(budget: Budget, seed: int) -> None:
    random = RandomState(seed)
    first, second = budget.sample(random), budget.sample(random)
    child = budget.child(first, second, random)
    assert child in budget
    assert set(first) & set(second) <= set(child) <= set(first) | set(second)
    assert len(child) in {len(first), len(second)}
