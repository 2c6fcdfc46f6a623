"""From a trained hyper-network to layers, and what each of them gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from search_spaces.budget import Budget
from spt.architecture import Kinds, Layers, PromptLayers
from spt.model import PromptedModel
from spt.training.result import TrainingResult
from strategies.candidates import explore
from strategies.costs import (
    ScoredSubset,
    Slot,
    by_layer_scores,
    by_slot_scores,
    choose,
    scored_subsets,
    up_to_each_length,
)
from strategies.evolution import Evolution
from strategies.hyper_network import fixed_gates, gate_values, gates_for, kind_gates, slots
from strategies.multi_trial import Exhaustive
from strategies.options import EvolutionOptions, ExhaustiveOptions, GateOptions, OneShotOptions

# scores dev with the gates as they are
DevScore = Callable[[], float]


@dataclass(frozen=True)
class Derived:
    """The layers a rule chose, what it scored, and how often dev was scored.

    Attributes:
        layers: that were chosen.
        scores: of each candidate layer. One that the search has dropped counts 0 where gates are the scores,
            and has none where dev gives them.
        evaluations: scores of dev.
        subsets: of layers that it has scores of, between which a cost can choose; none of 'threshold'.
        kinds: what each of the layers gets; none where all get what the section `prompt` says.
        kind_scores: layer -> kind -> what it was ranked by, where there are several kinds.
    """

    layers: Layers
    scores: dict[int, float]
    evaluations: int
    subsets: tuple[ScoredSubset, ...] = ()
    kinds: Kinds = ()
    kind_scores: dict[int, dict[str, float]] = field(default_factory=dict)


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
    """Return the K layers of the highest gates, each with the kind of its highest.

    Source: SPT (arXiv 2310.20127); kinds are ours.
    """
    return _best_layers(kind_gates(model), gate_values(model), budget, evaluations=0)


def threshold(model: PromptedModel, budget: Budget, score: DevScore, options: DerivationOptions) -> Derived:  # noqa: ARG001
    """Return the layers whose gate passes the threshold: at most K, the highest, and at least one.

    For a budget that allows fewer than K layers. Source: ours.
    """
    gates = kind_gates(model)
    derived = _best_layers(gates, gate_values(model), budget, evaluations=0)
    open_slots = {slot: gate for slot, gate in gates.items() if gate > options.threshold}
    chosen = budget.best(open_slots) or replace(budget, k=1).best(gates)
    assert chosen is not None
    return replace(derived, layers=chosen.layers, kinds=chosen.kinds, subsets=())


def ablation(model: PromptedModel, budget: Budget, score: DevScore, options: DerivationOptions) -> Derived:  # noqa: ARG001
    """Return the K layers of the highest S(M) - S(M without i) + S(only i), S being the dev score.

    With several kinds i is one kind of a layer, and a layer counts by its best. Of subsets of equal scores
    the cheapest is taken. 2 * choices + 1 evaluations.

    Source: ALoRA's importance score (arXiv 2403.16187, Eq. 5), which replaces gate values because they rank
    layers poorly.
    """
    of_all = score()
    scores: dict[Slot, float] = {}
    for slot in slots(model):
        with fixed_gates(model, {slot: 0.0}):
            without = score()
        with fixed_gates(model, {other: 0.0 for other in slots(model) if other != slot}):
            alone = score()
        # the last bits of such a sum would break ties
        scores[slot] = round(of_all - without + alone, 9)
    derived = _best_layers(scores, _of_each_layer(scores), budget, evaluations=2 * len(scores) + 1)
    best = choose(derived.subsets, cost_weight=0)
    return replace(derived, layers=best.layers, kinds=best.kinds)


def best_kind(scores: Mapping[Slot, float]) -> dict[int, str]:
    """Return the kind of the highest score of each layer; the one named first wins a tie."""
    best: dict[int, str] = {}
    for layer, kind in scores:
        if layer not in best or scores[layer, kind] > scores[layer, best[layer]]:
            best[layer] = kind
    return best


def _of_each_layer(scores: Mapping[Slot, float]) -> dict[int, float]:
    """Return the highest score of each layer."""
    return {layer: scores[layer, kind] for layer, kind in best_kind(scores).items()}


def _best_layers(
    scores: Mapping[Slot, float], of_layers: dict[int, float], budget: Budget, evaluations: int
) -> Derived:
    """Return the K layers of the highest scores, each with its best kind.

    Args:
        scores: of every slot.
        of_layers: of every layer, that of its best kind; dropped ones may be among them.
        budget: says which layers there may be.
        evaluations: that the scores took.
    """
    kind_scores: dict[int, dict[str, float]] = {}
    if len(budget.kinds) > 1:
        for (layer, kind), value in scores.items():
            kind_scores.setdefault(layer, {})[kind] = value
    best = best_subset(scores, of_layers, budget)
    subsets = list(_subsets(scores, of_layers, budget))
    for shorter in up_to_each_length(scores, budget):
        subsets += _subsets(shorter, _of_each_layer(shorter), budget)
    return Derived(best.layers, of_layers, evaluations, tuple(subsets), best.kinds, kind_scores)


def _subsets(
    scores: Mapping[Slot, float], of_layers: Mapping[int, float], budget: Budget
) -> tuple[ScoredSubset, ...]:
    if budget.most_parameters is None:
        return by_layer_scores(of_layers, budget, best_kind(scores))
    return by_slot_scores(scores, budget)


def best_subset(scores: Mapping[Slot, float], of_layers: Mapping[int, float], budget: Budget) -> PromptLayers:
    """Return the K layers of the highest scores, each with its best kind, as far as parameters allow it.

    Args:
        scores: of every slot.
        of_layers: of every layer, that of its best kind.
        budget: says which layers there may be, and with how many parameters.
    """
    if budget.most_parameters is not None:
        subset = budget.best(scores)
        assert subset is not None
        return subset
    kinds = best_kind(scores)
    return PromptLayers.of({layer: kinds[layer] for layer in budget.top(of_layers)}, budget.total)


def pruned(model: PromptedModel, budget: Budget, score: DevScore, options: DerivationOptions) -> Derived:
    """Return the subset whose discrete model inside the hyper-network scores best on dev.

    Of equal ones it is the cheapest. All subsets are scored where the limit allows it; else regularised
    evolution chooses which. A layer's score is the mean over the scored subsets that hold it, and over all
    of them for a layer that none holds.
    Source: ours, after single-path one-shot search (arXiv 1904.00420).
    """

    def scored(subset: PromptLayers) -> TrainingResult:
        with fixed_gates(model, gates_for(model, subset)):
            return TrainingResult(score(), epochs=0, steps=0, seconds=0.0, flops=0)

    strategy = (
        Exhaustive(ExhaustiveOptions(evaluations=options.evaluations), seed=options.seed)
        if budget.num_subsets <= options.evaluations
        else Evolution(EvolutionOptions(population=20, tournament=5, crossover=True), seed=options.seed)
    )
    candidates = explore(strategy, budget, scored, options.evaluations)
    scores = candidates.scores(budget.total)

    def mean_of(slots: set[Slot]) -> float:
        """Return the mean score of the subsets that hold one of the slots, or of all where none does."""
        holding = [value for subset, value in scores.items() if slots & subset.by_layer.items()]
        values = holding or list(scores.values())
        return sum(values) / len(values)

    best = candidates.best(budget)
    return Derived(
        best.layers,
        {layer: mean_of({(layer, kind) for kind in budget.kinds}) for layer in budget.allowed},
        len(candidates.tried),
        scored_subsets(scores, budget),
        best.kinds,
        {layer: {kind: mean_of({(layer, kind)}) for kind in budget.kinds} for layer in budget.allowed}
        if len(budget.kinds) > 1
        else {},
    )


def most_evaluations(name: str, budget: Budget, options: DerivationOptions) -> int:
    """Say how often a rule may score dev."""
    if name == "ablation":
        return 2 * len(budget.allowed) * len(budget.kinds) + 1
    return min(budget.num_subsets, options.evaluations) if name == "pruned" else 0


Derivation = Callable[[PromptedModel, Budget, DevScore, DerivationOptions], Derived]
DERIVATIONS: dict[str, Derivation] = {
    "top_k": top_k,
    "threshold": threshold,
    "ablation": ablation,
    "pruned": pruned,
}
