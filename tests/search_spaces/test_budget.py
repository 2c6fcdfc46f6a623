"""Budgets make valid subsets directly, uniformly, and refuse what cannot be met."""

from collections import Counter
from itertools import combinations, pairwise, product
from math import comb
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.random import RandomState

from search_spaces.budget import Budget
from spt.architecture import PromptLayers
from spt.errors import InputError
from spt.prompts.kinds import INSERT

KINDS = ("free", "generated_5", "scaling")
# of seed 0, before there were kinds
EARLIER = [(4, 6, 11), (2, 3, 5), (1, 7, 11), (1, 4, 6), (1, 2, 7)]


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    total = draw(st.integers(1, 30))
    candidates = draw(st.none() | st.sets(st.integers(0, total - 1), min_size=1).map(tuple))
    k = draw(st.integers(1, total if candidates is None else len(candidates)))
    kinds = draw(st.sampled_from([(INSERT,), KINDS[:1], KINDS[:2], KINDS]))
    exactly, parameters = draw(st.booleans()), tuple(draw(st.integers(1, 9)) for _ in kinds)
    least = min(parameters) * (k if exactly else 1)
    most = draw(st.none() | st.integers(least, least + 20))
    return Budget(total, k, exactly, candidates, kinds, parameters if most else (), most)


def parameters_of(subset: PromptLayers, budget: Budget) -> int:
    by_kind = dict(zip(budget.kinds, budget.parameters, strict=True))
    return sum(by_kind[kind] for kind in subset.by_layer.values())


def size_of(subset: PromptLayers) -> int:
    return len(subset.layers)


@given(budgets(), st.integers(0, 2**31))
def test_samples_satisfy_the_budget(budget: Budget, seed: int) -> None:
    random = RandomState(seed)
    for _ in range(5):
        subset = budget.sample(random)
        assert subset in budget
        assert set(subset.layers) <= set(budget.allowed)
        assert set(subset.by_layer.values()) <= set(budget.kinds)
        assert size_of(subset) == budget.k if budget.exactly else 1 <= size_of(subset) <= budget.k
        assert budget.most_parameters is None or parameters_of(subset, budget) <= budget.most_parameters


@pytest.mark.parametrize("exactly", [True, False])
def test_enumeration_is_every_subset_once(exactly: bool) -> None:
    budget = Budget(6, 3, exactly, candidates=(0, 2, 3, 5))
    sizes = [3] if exactly else [1, 2, 3]
    expected = [subset for size in sizes for subset in combinations((0, 2, 3, 5), size)]
    assert [subset.layers for subset in budget] == expected
    assert budget.num_subsets == len(expected)


def test_enumeration_has_every_kind_of_every_layer_once() -> None:
    budget = Budget(4, 2, exactly=False, candidates=(1, 2, 3), kinds=KINDS)
    expected = [
        PromptLayers.of(layers, 4, kinds)
        for size in (1, 2)
        for layers in combinations((1, 2, 3), size)
        for kinds in product(KINDS, repeat=size)
    ]
    assert list(budget) == expected
    assert budget.num_subsets == len(set(expected)) == 3 * 3 + 3 * 9


LIMITED = Budget(4, 2, exactly=False, kinds=(*KINDS, "free_2"), parameters=(3, 6, 1, 9), most_parameters=7)


def test_within_parameters_enumeration_leaves_out_what_has_more_and_nothing_else() -> None:
    every = Budget(4, 2, exactly=False, kinds=LIMITED.kinds)
    fitting = [subset for subset in every if parameters_of(subset, LIMITED) <= 7]
    assert list(LIMITED) == fitting
    assert LIMITED.num_subsets == len(fitting) == 4 * 3 + 6 * 6
    assert [subset in LIMITED for subset in every] == [subset in fitting for subset in every]


def test_within_parameters_sampling_is_uniform() -> None:
    random = RandomState(0)
    counts = Counter(LIMITED.sample(random) for _ in range(500 * LIMITED.num_subsets))
    assert len(counts) == LIMITED.num_subsets
    assert max(counts.values()) / min(counts.values()) < 1.4


def test_fewer_layers_are_left_where_parameters_pay_no_more() -> None:
    budget = Budget(6, 4, exactly=False, parameters=(10,), most_parameters=29)
    assert budget.sizes == range(1, 3)
    with pytest.raises(InputError, match=r"most_parameters is 29, but .* k=4 .* at least 40\. Raise it"):
        Budget(6, 4, parameters=(10,), most_parameters=29)
    with pytest.raises(InputError, match=r"most_parameters is 9, but .* at least 10\. Raise it"):
        Budget(6, 4, exactly=False, parameters=(10,), most_parameters=9)


@given(budgets(), st.integers(0, 2**31))
def test_the_best_subset_is_that_of_the_highest_sum(budget: Budget, seed: int) -> None:
    if budget.num_subsets > 300:
        return
    random = RandomState(seed)
    # whole numbers, so that there are ties
    scores = {(i, kind): float(random.randint(9)) for i in budget.allowed for kind in budget.kinds}
    largest = [subset for subset in budget if size_of(subset) == budget.sizes[-1]]

    def sum_of(subset: PromptLayers) -> float:
        return sum(scores[slot] for slot in subset.by_layer.items())

    best = budget.best(scores)
    assert best in budget
    assert sum_of(best) == max(map(sum_of, largest))
    for first in budget.allowed:
        beginning = [subset for subset in largest if subset.layers[0] == first]
        found = budget.best(scores, first)
        if beginning:
            assert found in budget
            assert found.layers[0] == first
            assert sum_of(found) == max(map(sum_of, beginning))
        else:
            assert found is None or size_of(found) < budget.sizes[-1]


@pytest.mark.parametrize(("kinds", "count"), [((INSERT,), 10), (KINDS[:2], 4 * 2 + 6 * 4)])
def test_sampling_is_uniform_over_subsets_of_all_sizes(kinds: tuple[str, ...], count: int) -> None:
    budget, random = Budget(4, 2, exactly=False, kinds=kinds), RandomState(0)
    counts = Counter(budget.sample(random) for _ in range(500 * count))
    assert len(counts) == budget.num_subsets == count
    assert max(counts.values()) / min(counts.values()) < 1.4


@pytest.mark.parametrize("limit", [{}, {"parameters": (1, 2, 3, 4), "most_parameters": 40}], ids=str)
def test_there_may_be_more_subsets_than_len_can_say(limit: dict[str, Any]) -> None:
    budget = Budget(60, 30, kinds=("free", "generated", "scaling", INSERT), **limit)
    assert budget.num_subsets > 2**63
    assert limit or budget.num_subsets == comb(60, 30) * 4**30
    assert budget.sample(RandomState(0)) in budget


def test_without_kinds_the_samples_of_a_seed_are_those_of_earlier_versions() -> None:
    random, budget = RandomState(0), Budget(12, 3)
    drawn = [budget.sample(random) for _ in range(3)]
    drawn.append(budget.neighbour(drawn[0], random))
    drawn.append(budget.child(drawn[1], drawn[2], random))
    assert [subset.layers for subset in drawn] == EARLIER
    assert all(subset.kinds == () for subset in drawn)


@pytest.mark.parametrize(
    "subset",
    [
        PromptLayers.of((0,), 6),
        PromptLayers.of((0, 1, 2), 6),
        PromptLayers.of((0, 1), 9),
        PromptLayers.of({0: "free", 1: INSERT}, 6),
        (0, 1),
        "01",
    ],
    ids=str,
)
def test_other_subsets_are_outside(subset: object) -> None:
    assert subset not in Budget(6, 2)


def test_top_takes_the_highest_scores_of_the_candidates_and_the_lower_layer_of_a_tie() -> None:
    budget = Budget(5, 2, candidates=(0, 2, 4))
    assert budget.top({0: 0.5, 2: 0.5, 4: 0.9, 1: 1.0, 3: 1.0}) == (0, 4)


@pytest.mark.parametrize(
    ("distance", "layers"),
    [(1, (6, 7)), (2, (4, 7)), (3, (4, 7)), (4, (3, 7)), (5, (0, 7)), (7, (0, 7))],
)
def test_top_passes_over_layers_too_close_to_a_better_one(distance: int, layers: tuple[int, ...]) -> None:
    scores = dict(enumerate([0.1, 0.0, 0.0, 0.5, 0.6, 0.0, 0.8, 0.9]))
    assert Budget(8, 2).top(scores, distance) == layers


def test_top_passes_over_a_layer_that_leaves_no_room_for_others() -> None:
    assert Budget(8, 2, candidates=(2, 3, 4, 5, 6)).top({2: 0.1, 3: 0.2, 4: 0.9, 5: 0.3, 6: 0.2}, 3) == (2, 5)


@given(
    scores=st.lists(st.integers(0, 5).map(float), min_size=9, max_size=9),
    candidates=st.sets(st.integers(0, 8), min_size=1).map(sorted).map(tuple),
    k=st.integers(1, 4),
    distance=st.integers(1, 8),
)
def test_top_finds_layers_so_far_apart_wherever_there_are(
    scores: list[float], candidates: tuple[int, ...], k: int, distance: int
) -> None:
    assume(k <= len(candidates))
    budget = Budget(9, k, candidates=candidates)
    possible = [
        subset.layers
        for subset in budget
        if all(upper - lower >= distance for lower, upper in pairwise(subset.layers))
    ]
    assert (len(budget.apart(distance)) >= k) == bool(possible)
    if possible:
        layers = budget.top(dict(enumerate(scores)), distance)
        assert layers in possible
        assert max(scores[i] for i in layers) == max(scores[i] for subset in possible for i in subset)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((6, 7), "budget is 7 prompt layers, but must be from 1 to 6"),
        ((6, 0), "budget is 0 prompt layers"),
        ((6, 3, True, (1, 2)), "from 1 to 2"),
        ((6, 1, True, (1, 6)), r"Candidate layers \[6\] do not exist: the backbone has layers 0 to 5"),
        ((6, 1, True, (-1, 2)), r"Candidate layers \[-1\] do not exist: the backbone has layers 0 to 5"),
    ],
)
def test_a_budget_that_cannot_be_met_is_refused(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Budget(*arguments)


@given(budgets(), st.integers(0, 2**32 - 1))
def test_a_neighbour_is_one_step_away(budget: Budget, seed: int) -> None:
    random = RandomState(seed)
    subset = budget.sample(random)
    other = budget.neighbour(subset, random)
    assert other in budget
    gone, new = (a.by_layer.items() - b.by_layer.items() for a, b in ((subset, other), (other, subset)))
    if budget.num_subsets == 1:
        assert other == subset
    else:
        assert max(len(gone), len(new)) == 1
    if budget.exactly:
        assert len(gone) == len(new)


@given(budgets(), st.integers(0, 2**32 - 1))
def test_neighbours_lead_to_every_subset(budget: Budget, seed: int) -> None:
    if budget.num_subsets > 20:
        return
    random = RandomState(seed)
    subset = budget.sample(random)
    seen = {subset}
    for _ in range(4000):
        subset = budget.neighbour(subset, random)
        seen.add(subset)
        if len(seen) == budget.num_subsets:
            return
    raise AssertionError(f"only {seen} of {budget}")


TWO_KINDS = ("free", "generated_5")


# the highest layer had a kind of neither parent; layers of both are too many for any kinds
@example(Budget(5, 4, True, kinds=TWO_KINDS, parameters=(3, 1), most_parameters=8), 186698)
@example(Budget(4, 2, True, kinds=TWO_KINDS, parameters=(3, 1), most_parameters=4), 1)
@given(budgets(), st.integers(0, 2**32 - 1))
def test_a_child_has_its_parents_layers(budget: Budget, seed: int) -> None:
    random = RandomState(seed)
    first, second = budget.sample(random), budget.sample(random)
    child = budget.child(first, second, random)
    assert child in budget
    assert set(first.layers) & set(second.layers) <= set(child.layers)
    assert child.by_layer.items() <= first.by_layer.items() | second.by_layer.items()
    assert size_of(child) in {size_of(first), size_of(second)}


def children(budget: Budget, first: PromptLayers, second: PromptLayers) -> Counter[PromptLayers]:
    """Children of two parents over many seeds."""
    return Counter(budget.child(first, second, RandomState(seed)) for seed in range(400))


def test_a_child_has_the_size_of_either_parent() -> None:
    budget = Budget(6, 3, exactly=False)
    found = children(budget, PromptLayers.of((0,), 6), PromptLayers.of((1, 2, 3), 6))
    sizes = Counter({size: sum(n for child, n in found.items() if size_of(child) == size) for size in (1, 3)})
    assert sizes.total() == 400 and min(sizes.values()) > 150


def test_a_child_has_the_kind_of_either_parent_where_both_have_a_layer() -> None:
    budget = Budget(4, 1, kinds=TWO_KINDS)
    first, second = (PromptLayers.of({2: kind}, 4) for kind in TWO_KINDS)
    found = children(budget, first, second)
    assert found.keys() == {first, second} and min(found.values()) > 150


def test_what_is_too_dear_gets_the_smaller_kind_at_its_highest_layer() -> None:
    budget = Budget(2, 2, kinds=TWO_KINDS, parameters=(3, 1), most_parameters=4)
    dear, cheap = TWO_KINDS
    first, second = PromptLayers.of({0: dear, 1: cheap}, 2), PromptLayers.of({0: cheap, 1: dear}, 2)
    both_cheap = PromptLayers.of({0: cheap, 1: cheap}, 2)
    found = children(budget, first, second)
    # of four draws alike, two dear ones get the smaller kind above: twice as many are as the first parent
    assert found.keys() == {first, second, both_cheap}
    assert found[first] > 1.5 * max(found[second], found[both_cheap])


def test_of_equal_sums_the_best_has_the_lower_layers() -> None:
    budget = Budget(4, 2, kinds=TWO_KINDS, parameters=(3, 1), most_parameters=6)
    scores = {(layer, kind): 1.0 for layer in range(4) for kind in TWO_KINDS}
    best = budget.best(scores)
    assert best is not None and best.layers == (0, 1)
