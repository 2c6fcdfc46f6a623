"""What a search must fit in: the subsets that it may try, and the FLOPs that it must leave for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from experiments.config import RunConfig
from experiments.run.estimates import (
    candidate_flops,
    dev_flops,
    longest_prompt,
    retraining_flops,
    scoring_flops,
    states_flops,
    training_step_flops,
)
from search_spaces.budget import Budget
from search_spaces.named_layers import named_layers
from search_spaces.prompt_layers import PromptLayerSpace
from spt.architecture import PromptLayers
from spt.errors import InputError
from spt.model import PromptedModel
from spt.workbench import Workbench
from strategies.budgets import (
    budget_before_scores,
    check_exhaustive,
    with_parameter_limit,
    with_prompt_lengths,
)
from strategies.derivation import most_evaluations
from strategies.one_shot import OneShot
from strategies.options import ManualOptions, OneShotOptions, SpaceOptions, StrategyOptions
from strategies.registry import new_strategy

# forward and backward, of the costliest step of a search
PASSES_OF_A_STEP = 3


def check_search(workbench: Workbench, config: RunConfig) -> None:
    """Refuse what cannot be searched, before anything is written.

    Raises:
        InputError: for prompts that the backbone cannot have, layers that it does not have, an impossible
            budget, folds that the rows cannot be dealt into, or a strategy or derivation that does not
            fit the space.
    """
    _ = workbench.fold_workbenches
    workbench.factory.model(PromptLayers.of([0], workbench.num_layers))
    options = config.search
    if isinstance(options, SpaceOptions):
        budget = searched_budget(workbench, options)
        for layers in costliest_layers(budget):
            workbench.factory.model(layers)
        check_exhaustive(budget, options)
    elif isinstance(options, ManualOptions):
        workbench.factory.model(named_layers(options.manual_layers, workbench.num_layers))
    needed = reserved_flops(workbench, options, config.seed)
    needed += _least_search_flops(workbench, options, config.seed)
    if options.budget_flops is not None and options.budget_flops < needed:
        raise InputError(
            f"search.budget_flops is {options.budget_flops:.3g}, but {options.strategy} needs up to "
            f"{needed:.3g} for one training of the layers (with data.folds one a fold, and one on all rows), "
            f"and to choose them. Raise it, or lower training.epochs."
        )


def searched_budget(workbench: Workbench, options: SpaceOptions) -> Budget:
    """Return the subsets that are searched."""
    budget = budget_before_scores(workbench.num_layers, options)
    limited = with_parameter_limit(budget, options, workbench.factory.parameters)
    tokens = float(workbench.examples["train"].lengths.mean())
    adds = workbench.spec.prompt.combine == "add"
    return with_prompt_lengths(limited, partial(_prompt_length, workbench), tokens, adds)


def costliest_layers(budget: Budget) -> list[PromptLayers]:
    """Return for each kind the lowest K layers with it: the candidates that take most FLOPs."""
    layers = budget.allowed[: budget.k]
    return [PromptLayers.of(dict.fromkeys(layers, kind), budget.total) for kind in budget.kinds]


def reserved_flops(workbench: Workbench, options: StrategyOptions, seed: int) -> float:
    """Return the FLOPs that must be left for what surely follows: scores of layers, derivation, retraining.

    0 where there is no budget.
    """
    if options.budget_flops is None:
        return 0
    if isinstance(options, ManualOptions):
        named = named_layers(options.manual_layers, workbench.num_layers)
        return _chosen_flops(workbench, [named])
    assert isinstance(options, SpaceOptions)
    budget = searched_budget(workbench, options)
    needed = _chosen_flops(workbench, costliest_layers(budget))
    if options.scorers:
        needed += scoring_flops(workbench)
    if not isinstance(options, OneShotOptions):
        return needed
    strategy, hyper_network = _hyper_network(workbench, options, budget, seed)
    # the last epoch ends with a score, whatever was spent before
    scores = 1 + most_evaluations(strategy.derivation, budget, strategy.derivation_options)
    return needed + scores * dev_flops(workbench, hyper_network, _longest_prompt(workbench, budget))


def _prompt_length(workbench: Workbench, kind: str) -> int:
    """Return P of the prompt that a layer of a kind gets; 0 for none."""
    alone = PromptLayers.of({0: kind}, workbench.num_layers)
    return alone.prompt_lengths(workbench.spec.prompt)[0]


def _least_search_flops(workbench: Workbench, options: StrategyOptions, seed: int) -> float:
    """Return the FLOPs of the least that a hyper-network's search takes: its states, and one step.

    0 where there is no budget, or no hyper-network.
    """
    if options.budget_flops is None or not isinstance(options, OneShotOptions):
        return 0
    budget = searched_budget(workbench, options)
    _, hyper_network = _hyper_network(workbench, options, budget, seed)
    step = training_step_flops(workbench, hyper_network, _longest_prompt(workbench, budget))
    # generators and head on two passes with consistency, and the gates on one
    return PASSES_OF_A_STEP * step + states_flops(workbench, budget.allowed[0])


def _hyper_network(
    workbench: Workbench, options: OneShotOptions, budget: Budget, seed: int
) -> tuple[OneShot, PromptedModel]:
    """Make a strategy and its hyper-network, untrained."""
    strategy: OneShot = new_strategy(options, seed)
    return strategy, strategy.mutate_model(PromptLayerSpace(workbench.factory, budget))


def _longest_prompt(workbench: Workbench, budget: Budget) -> int:
    """Return P of the longest prompt that a subset may have."""
    return max(longest_prompt(workbench, layers) for layers in costliest_layers(budget))


def _chosen_flops(workbench: Workbench, candidates: Sequence[PromptLayers]) -> float:
    """Estimate the FLOPs of judging and training the layers that a search chooses: the most of candidates."""
    return max(
        candidate_flops(workbench, layers) + retraining_flops(workbench, layers) for layers in candidates
    )
