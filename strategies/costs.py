"""What layers cost beside each other, and how a score is traded against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import fsum

from search_spaces.budget import Budget
from spt.architecture import Kinds, Layers, PromptLayers
from spt.pareto import front_of

# a layer and what it may get: whatever has a gate
Slot = tuple[int, str]


@dataclass(frozen=True)
class ScoredSubset:
    """A subset of layers that a search has scored.

    Attributes:
        layers: of the subset.
        score: higher for better ones; dev accuracy or what stands for it.
        cost: share of the backbone's layers from the first prompt on, in (0, 1]: of these a training runs
            every epoch, forward and backward, and an answer with a longer input. Where kinds have prompts of
            several lengths, a layer counts by its positions, beside those of the longest prompt.
        kinds: what each layer gets; none where all get what the section `prompt` says.
    """

    layers: Layers
    score: float
    cost: float
    kinds: Kinds = ()


def share_from(first: int, total: int) -> float:
    """Return the share of the L = `total` layers from the first prompt on."""
    return (total - first) / total


def cost_of(subset: PromptLayers, budget: Budget) -> float:
    """Return the cost of a subset of a budget, as a `ScoredSubset` has it. Source: ours."""
    first, total = min(subset.layers), subset.total
    if not budget.lengths:
        return share_from(first, total)
    lengths, kinds = dict(zip(budget.kinds, budget.lengths, strict=True)), subset.by_layer
    positions, length = 0.0, 0
    for layer in range(first, total):
        own = lengths[kinds[layer]] if layer in kinds else 0
        # what has no prompt of its own passes on the one from below, and what adds to a longer one keeps that
        length = max(own, length) if budget.adds else own or length
        positions += budget.tokens + length
    return positions / (total * (budget.tokens + max(budget.lengths)))


def scored_subsets(scores: Mapping[PromptLayers, float], budget: Budget) -> tuple[ScoredSubset, ...]:
    """Put the cost of each subset of a budget beside its score."""
    return tuple(
        ScoredSubset(subset.layers, score, cost_of(subset, budget), subset.kinds)
        for subset, score in scores.items()
    )


def by_layer_scores(
    scores: Mapping[int, float], budget: Budget, kinds: Mapping[int, str] | None = None
) -> tuple[ScoredSubset, ...]:
    """Return for each first layer the K layers of the highest scores; their score is the mean of these.

    Where prompts are of one length, no other subset has a higher score at as low a cost.

    Args:
        scores: of each layer.
        budget: says which layers there may be.
        kinds: what each layer gets; None for what the section `prompt` says.
    """
    subsets = {}
    for first in budget.allowed:
        above = sorted((layer for layer in budget.allowed if layer > first), key=lambda i: (-scores[i], i))
        if len(above) >= budget.k - 1:
            layers = tuple(sorted([first, *above[: budget.k - 1]]))
            subset = PromptLayers.of(layers, budget.total, (kinds[i] for i in layers) if kinds else ())
            # equal scores give one sum in whatever order, so that it ties
            subsets[subset] = fsum(scores[layer] for layer in layers) / budget.k
    return scored_subsets(subsets, budget)


def by_slot_scores(scores: Mapping[Slot, float], budget: Budget) -> tuple[ScoredSubset, ...]:
    """Return for each first layer the layers and kinds of the highest scores within the budget's parameters.

    Their score is the mean of these, as of `by_layer_scores`.
    """
    best = (budget.best(scores, first) for first in budget.allowed)
    return scored_subsets(
        {
            subset: fsum(scores[slot] for slot in subset.by_layer.items()) / len(subset.layers)
            for subset in best
            if subset is not None and len(subset.layers) == budget.sizes[-1]
        },
        budget,
    )


def up_to_each_length(scores: Mapping[Slot, float], budget: Budget) -> Iterator[dict[Slot, float]]:
    """Yield the scores of the kinds whose prompts are no longer than each length but the longest.

    So that layers and kinds can be chosen among the shorter ones too, which cost less.
    """
    lengths = dict(zip(budget.kinds, budget.lengths, strict=False))
    for most in sorted(set(budget.lengths))[:-1]:
        yield {slot: score for slot, score in scores.items() if lengths[slot[1]] <= most}


def choose(subsets: Iterable[ScoredSubset], cost_weight: float) -> ScoredSubset:
    """Return the subset of the highest score less `cost_weight` times the cost.

    Of equal ones the cheapest wins, and of equally cheap ones that of the lower layers. So no other subset
    has as high a score for less: what is chosen is on the `pareto_front`.
    """

    def rank(subset: ScoredSubset) -> tuple[float, float, Layers, Kinds]:
        return cost_weight * subset.cost - subset.score, subset.cost, subset.layers, subset.kinds

    return min(subsets, key=rank)


def pareto_front(subsets: Iterable[ScoredSubset]) -> tuple[ScoredSubset, ...]:
    """Return the subsets than which none has as high a score for less, or a higher one for as much.

    The cheapest comes first; of those that are equal the lower one is there.
    """
    lower_first = sorted(subsets, key=lambda subset: (subset.layers, subset.kinds))
    return tuple(front_of(lower_first, lambda subset: (subset.cost, subset.score)))
