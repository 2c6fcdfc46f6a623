"""From a trained hyper-network to layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from search_spaces.budget import Budget, Layers
from spt.errors import InputError
from spt.model import PromptedModel
from strategies.hyper_network import fixed_gates, gate_values, gated_layers, only

Score = Callable[[], float]
MOST_SUBSETS = 200


@dataclass(frozen=True)
class Derived:
    """The layers a rule chose, the rule's score of each candidate layer, and how often dev was scored."""

    layers: Layers
    scores: dict[int, float]
    evaluations: int


def top_k(model: PromptedModel, budget: Budget, score: Score) -> Derived:  # noqa: ARG001
    """The K layers of the highest gates. Source: SPT (arXiv 2310.20127)."""
    gates = gate_values(model)
    return Derived(budget.top(gates), gates, 0)


def ablation(model: PromptedModel, budget: Budget, score: Score) -> Derived:
    """The K layers of the highest S(M) - S(M without i) + S(only i), S being the dev score.

    2 * candidates + 1 evaluations. Source: ALoRA's importance score (arXiv 2403.16187, Eq. 5), which
    replaces gate values because they rank layers poorly.
    """
    whole = score()
    scores = {}
    for layer in gated_layers(model):
        with fixed_gates(model, {layer: 0.0}):
            without = score()
        with fixed_gates(model, {other: 0.0 for other in gated_layers(model) if other != layer}):
            alone = score()
        scores[layer] = whole - without + alone
    return Derived(budget.top(scores), scores, 2 * len(scores) + 1)


def pruned(model: PromptedModel, budget: Budget, score: Score) -> Derived:
    """The subset whose discrete model inside the hyper-network scores best on dev, all subsets tried.

    A layer's score is the mean over the subsets that hold it. Source: ours, after single-path one-shot
    search (arXiv 1904.00420).

    Raises:
        InputError: if the budget allows more than MOST_SUBSETS.
    """
    check_derivation("pruned", budget)
    found: dict[Layers, float] = {}
    for layers in budget:
        with fixed_gates(model, only(model, layers)):
            found[layers] = score()
    best = max(found, key=lambda layers: found[layers])
    means = {
        layer: sum(s for layers, s in found.items() if layer in layers)
        / sum(layer in layers for layers in found)
        for layer in budget.allowed
    }
    return Derived(best, means, len(found))


def check_derivation(name: str, budget: Budget) -> None:
    """Refuse a rule that would score too many subsets, before a search has been paid for.

    Raises:
        InputError: if the rule is 'pruned' and the budget allows more than MOST_SUBSETS.
    """
    if name == "pruned" and len(budget) > MOST_SUBSETS:
        raise InputError(
            f"The derivation 'pruned' would score {len(budget)} subsets of layers, but may score at most "
            f"{MOST_SUBSETS}. Use search.derivation=ablation or top_k, or fewer search.candidates."
        )


Derivation = Callable[[PromptedModel, Budget, Score], Derived]
DERIVATIONS: dict[str, Derivation] = {"top_k": top_k, "ablation": ablation, "pruned": pruned}
