"""What layers cost beside each other, and how a score is traded against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from search_spaces.budget import Budget
from spt.architecture import Kinds, Layers, PromptLayers


@dataclass(frozen=True)
class ScoredSubset:
    """A subset of layers that a search has scored.

    Attributes:
        layers: of the subset.
        score: higher for better ones; dev accuracy or what stands for it.
        cost: share of the backbone's layers from the first prompt on, in (0, 1]: of these a training runs
            every epoch, forward and backward, and an answer with a longer input.
        kinds: what each layer gets; none where all get what the section `prompt` says.
    """

    layers: Layers
    score: float
    cost: float
    kinds: Kinds = ()


def cost_of(layers: Layers, total: int) -> float:
    """Return the share of the L = `total` layers from the first of `layers` on. Source: ours."""
    return (total - min(layers)) / total


def scored_subsets(scores: Mapping[PromptLayers, float]) -> tuple[ScoredSubset, ...]:
    """Put the cost of each subset beside its score."""
    return tuple(
        ScoredSubset(subset.layers, score, cost_of(subset.layers, subset.total), subset.kinds)
        for subset, score in scores.items()
    )


def by_layer_scores(
    scores: Mapping[int, float], budget: Budget, kinds: Mapping[int, str] | None = None
) -> tuple[ScoredSubset, ...]:
    """Return for each first layer the K layers of the highest scores; their score is the mean of these.

    No other subset has a higher score at as low a cost.

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
            subsets[subset] = sum(scores[layer] for layer in layers) / budget.k
    return scored_subsets(subsets)


def by_slot_scores(scores: Mapping[tuple[int, str], float], budget: Budget) -> tuple[ScoredSubset, ...]:
    """Return for each first layer the layers and kinds of the highest scores within the budget's parameters.

    Their score is the mean of these, as of `by_layer_scores`.
    """
    best = (budget.best(scores, first) for first in budget.allowed)
    return scored_subsets(
        {
            subset: sum(scores[slot] for slot in subset.by_layer.items()) / len(subset.layers)
            for subset in best
            if subset is not None and len(subset.layers) == budget.sizes[-1]
        }
    )


def choose(subsets: Iterable[ScoredSubset], cost_weight: float) -> ScoredSubset:
    """Return the subset of the highest score less `cost_weight` times the cost; the lower one wins a tie."""
    return min(
        subsets, key=lambda subset: (cost_weight * subset.cost - subset.score, subset.layers, subset.kinds)
    )


def pareto_front(subsets: Iterable[ScoredSubset]) -> tuple[ScoredSubset, ...]:
    """Return the subsets than which none has as high a score for less, or a higher one for as much.

    The cheapest comes first.
    """
    front: list[ScoredSubset] = []
    for subset in sorted(
        subsets, key=lambda subset: (subset.cost, -subset.score, subset.layers, subset.kinds)
    ):
        if not front or subset.score > front[-1].score:
            front.append(subset)
    return tuple(front)
