"""From a trained hyper-network to layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from search_spaces.budget import Budget, Layers
from spt.architecture import PromptLayers
from spt.errors import InputError
from spt.model import PromptedModel
from spt.training.result import TrainingResult
from strategies.candidates import explore
from strategies.costs import ScoredSubset, by_layer_scores, scored_subsets
from strategies.evolution import Evolution
from strategies.hyper_network import fixed_gates, gate_values, gated_layers, gates_for
from strategies.multi_trial import Exhaustive
from strategies.options import EvolutionOptions, ExhaustiveOptions, GateOptions, OneShotOptions

DevScore = Callable[[], float]


@dataclass(frozen=True)
class Derived:
    """The layers a rule chose, what it scored, and how often dev was scored.

    Attributes:
        layers: that were chosen.
        scores: of each candidate layer.
        evaluations: scores of dev.
        subsets: of layers that it has scores of, between which a cost can choose; none of 'threshold'.
    """

    layers: Layers
    scores: dict[int, float]
    evaluations: int
    subsets: tuple[ScoredSubset, ...] = ()


@dataclass(frozen=True)
class DerivationOptions:
    """What the rules ask of their user.

    Attributes:
        evaluations: most subsets that the rule 'pruned' scores, >= 1.
        seed: of the draws of 'pruned', where it cannot score all subsets.
        threshold: least gate of a layer, in (0, 1), of the rule 'threshold'.
    """

    evaluations: int = OneShotOptions.model_fields["derivation_evaluations"].default
    seed: int = 0
    threshold: float = GateOptions.model_fields["threshold"].default


def top_k(model: PromptedModel, budget: Budget, score: DevScore, options: DerivationOptions) -> Derived:  # noqa: ARG001
    """Return the K layers of the highest gates. Source: SPT (arXiv 2310.20127)."""
    gates = gate_values(model)
    return Derived(budget.top(gates), gates, 0, by_layer_scores(gates, budget))


def threshold(model: PromptedModel, budget: Budget, score: DevScore, options: DerivationOptions) -> Derived:  # noqa: ARG001
    """Return the layers whose gate passes the threshold: at most K, the highest, and at least one.

    For a budget that allows fewer than K layers. Source: ours.
    """
    gates = gate_values(model)
    best = Budget(budget.total, 1, candidates=budget.allowed).top(gates)
    open_ones = {layer for layer in budget.top(gates) if gates[layer] > options.threshold}
    return Derived(tuple(sorted(open_ones | set(best))), gates, 0)


def ablation(model: PromptedModel, budget: Budget, score: DevScore, options: DerivationOptions) -> Derived:  # noqa: ARG001
    """Return the K layers of the highest S(M) - S(M without i) + S(only i), S being the dev score.

    2 * candidates + 1 evaluations. Source: ALoRA's importance score (arXiv 2403.16187, Eq. 5), which
    replaces gate values because they rank layers poorly.
    """
    of_all = score()
    scores = {}
    for layer in gated_layers(model):
        with fixed_gates(model, {layer: 0.0}):
            without = score()
        with fixed_gates(model, {other: 0.0 for other in gated_layers(model) if other != layer}):
            alone = score()
        scores[layer] = of_all - without + alone
    return Derived(budget.top(scores), scores, 2 * len(scores) + 1, by_layer_scores(scores, budget))


def pruned(model: PromptedModel, budget: Budget, score: DevScore, options: DerivationOptions) -> Derived:
    """Return the subset whose discrete model inside the hyper-network scores best on dev.

    All subsets are scored where the limit allows it; else regularised evolution chooses which. A layer's
    score is the mean over the scored subsets that hold it, and over all of them for a layer that none holds.
    Source: ours, after single-path one-shot search (arXiv 1904.00420).
    """

    def scored(layers: PromptLayers) -> TrainingResult:
        with fixed_gates(model, gates_for(model, layers.layers)):
            return TrainingResult(score(), epochs=0, steps=0, seconds=0.0, flops=0)

    strategy = (
        Exhaustive(ExhaustiveOptions(evaluations=options.evaluations), seed=options.seed)
        if len(budget) <= options.evaluations
        else Evolution(EvolutionOptions(population=20, tournament=5, crossover=True), seed=options.seed)
    )
    candidates = explore(strategy, budget, scored, options.evaluations)
    scores = {tried.layers: tried.dev for tried in candidates.tried if tried.dev is not None}
    means = {}
    for layer in budget.allowed:
        holding = [value for layers, value in scores.items() if layer in layers] or list(scores.values())
        means[layer] = sum(holding) / len(holding)
    subsets = scored_subsets(scores, budget.total)
    return Derived(candidates.best().layers, means, len(candidates.tried), subsets)


def most_evaluations(name: str, budget: Budget, options: DerivationOptions) -> int:
    """Say how often a rule may score dev."""
    if name == "ablation":
        return 2 * len(budget.allowed) + 1
    return min(len(budget), options.evaluations) if name == "pruned" else 0


def check_derivation(name: str, budget: Budget) -> None:
    """Refuse a rule that the budget does not allow, before a search has been paid for.

    Raises:
        InputError: if the rule is 'threshold' and the budget asks for exactly K layers.
    """
    if name == "threshold" and budget.exactly:
        raise InputError(
            "The derivation 'threshold' may find fewer than K layers, but search.exactly is true. "
            "Set search.exactly=false, or use another search.derivation."
        )


Derivation = Callable[[PromptedModel, Budget, DevScore, DerivationOptions], Derived]
DERIVATIONS: dict[str, Derivation] = {
    "top_k": top_k,
    "threshold": threshold,
    "ablation": ablation,
    "pruned": pruned,
}
