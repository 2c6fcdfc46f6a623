"""The search of a run: any strategy of the registry, within the run's budget, handed what trains layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from nni.nas.execution import ExecutionEngine, SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace

from experiments.config import RunConfig
from experiments.run.estimates import candidate_flops, dev_flops, retraining_flops, scoring_flops
from experiments.run.results import SearchResult
from experiments.run.scoring import plain_batches, with_scored_candidates
from experiments.run.training import OnStageEpoch, epoch_history, epochs_of
from search_spaces.budget import Layers
from search_spaces.named_layers import named_layers
from search_spaces.prompt_layers import PromptLayerSpace
from spt.architecture import PromptLayers
from spt.devices import chosen_device
from spt.errors import InputError
from spt.model import PromptedModel
from spt.quiet import quiet_logger
from spt.tensor_files import write_tensors
from spt.training.failures import device_memory
from spt.workbench import Workbench
from strategies.budgets import as_after_scores, budget_before_scores
from strategies.candidates import TrainCandidate, explore
from strategies.costs import by_layer_scores, choose, pareto_front, scored_subsets
from strategies.derivation import check_derivation, most_evaluations
from strategies.evaluator import new_evaluator
from strategies.hyper_network import gated_layers
from strategies.layer_scores import SCORERS, ScoredLayers
from strategies.ledger import Ledger
from strategies.multi_trial import check_exhaustive
from strategies.one_shot import OneShot
from strategies.options import (
    ExhaustiveOptions,
    GateOptions,
    ManualOptions,
    MultiTrialOptions,
    OneShotOptions,
    SpaceOptions,
    StrategyOptions,
)
from strategies.registry import new_strategy


def search(
    workbench: Workbench,
    config: RunConfig,
    folder: Path,
    ledger: Ledger,
    train: TrainCandidate,
    engine: ExecutionEngine | None = None,
    on_epoch: OnStageEpoch | None = None,
) -> SearchResult:
    """Find layers with the configuration's strategy, and charge the ledger for it.

    Args:
        workbench: what hyper-networks are trained on.
        config: names the strategy and its options.
        folder: of what the search keeps, to go on after a kill.
        ledger: of the run.
        train: trains one candidate, where the strategy trains candidates.
        engine: runs the candidates; one after the other in this process by default.
        on_epoch: told the epochs of a hyper-network's training.

    Raises:
        TrialFailed: if the search's loss is not finite, or every candidate fails.
    """
    if isinstance(config.search, ManualOptions):
        layers = _named(workbench, config.search).layers
        return SearchResult(layers, evaluations=0, search_seconds=0.0, search_steps=0, search_flops=0)
    assert isinstance(config.search, SpaceOptions)
    options, flops, seconds = with_scored_candidates(workbench, config.search, folder, ledger)
    if isinstance(options, OneShotOptions):
        result = _one_shot(workbench, config, options, folder, ledger, on_epoch)
    elif isinstance(options, MultiTrialOptions):
        result = _multi_trial(workbench, config, options, folder, ledger, train, engine, flops)
    else:
        result = _by_scores(workbench, config, options, folder, ledger)
    return replace(
        result,
        search_flops=result.search_flops + flops,
        search_seconds=result.search_seconds + seconds,
    )


def check(workbench: Workbench, config: RunConfig) -> None:
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
        budget = budget_before_scores(workbench.num_layers, options)
        if isinstance(options, GateOptions):
            check_derivation(options.derivation, budget)
        if isinstance(options, ExhaustiveOptions):
            check_exhaustive(as_after_scores(budget, options), options.evaluations)
    elif isinstance(options, ManualOptions):
        _named(workbench, options)
    needed = _reserved(workbench, config.search, config.seed)
    if options.budget_flops is not None and options.budget_flops < needed:
        raise InputError(
            f"search.budget_flops is {options.budget_flops:.3g}, but {options.strategy} needs up to "
            f"{needed:.3g} for one training of the layers (with data.folds one a fold, and one on all rows), "
            f"and to choose them. Raise it, or lower training.epochs."
        )


def _named(workbench: Workbench, options: ManualOptions) -> PromptLayers:
    return named_layers(options.manual_layers, workbench.num_layers)


def _reserved(workbench: Workbench, options: StrategyOptions, seed: int) -> float:
    """Return the FLOPs that must be left for what surely follows: scores of layers, derivation, retraining.

    0 where there is no budget.
    """
    if options.budget_flops is None:
        return 0
    if isinstance(options, ManualOptions):
        return _kept_flops(workbench, _named(workbench, options).layers)
    assert isinstance(options, SpaceOptions)
    budget = budget_before_scores(workbench.num_layers, options)
    needed = _kept_flops(workbench, budget.allowed[: budget.k])
    if options.strategy in SCORERS or options.scorer_and_number is not None:
        needed += scoring_flops(workbench)
    if not isinstance(options, OneShotOptions):
        return needed
    strategy: OneShot = new_strategy(options, seed)
    # an epoch may end just before the last step that fits, and the last epoch ends with a score too
    scores = 2 + most_evaluations(strategy.derivation, budget, strategy.derivation_options)
    every_layer = workbench.factory.model(PromptLayers.of(budget.allowed, budget.total))
    return needed + scores * dev_flops(workbench, every_layer)


def _kept_flops(workbench: Workbench, layers: Layers) -> float:
    """Estimate the FLOPs of judging and training the layers that are kept."""
    return candidate_flops(workbench, layers) + retraining_flops(workbench, layers)


class TrainedHyperNetwork(NamedTuple):
    """A space as a hyper-network, the strategy that trained it, and what that took, dev scores included."""

    space: PromptLayerSpace
    strategy: OneShot
    steps: int
    flops: int


def train_hyper_network(
    workbench: Workbench,
    config: RunConfig,
    options: OneShotOptions,
    folder: Path,
    on_epoch: OnStageEpoch | None = None,
) -> TrainedHyperNetwork:
    """Train the hyper-network of a one-shot strategy in a folder, or go on there.

    Raises:
        TrialFailed: if the loss is not finite.
    """
    space = PromptLayerSpace(workbench.factory, budget_before_scores(workbench.num_layers, options))
    reserved = _reserved(workbench, options, config.seed)
    limit = None if options.budget_flops is None else options.budget_flops - reserved
    history = {"history": folder / "gates.jsonl"} if isinstance(options, GateOptions) else {}
    strategy: OneShot = new_strategy(options, config.seed, flops_limit=limit, **history)
    train, dev = workbench.batches("train", space, shuffled=True), workbench.batches("dev", space)
    evaluator = new_evaluator(
        train.loader,
        dev.loader,
        workbench.spec.task,
        config.training.model_copy(update={"epochs": options.epochs}),
        config.seed,
        folder,
        epochs_of("search", on_epoch),
        epoch_history(folder),
    )
    with device_memory():
        strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
    flops = train.flops + dev.flops + strategy.training_flops
    return TrainedHyperNetwork(space, strategy, evaluator.trainer.global_step, flops)


def _one_shot(
    workbench: Workbench,
    config: RunConfig,
    options: OneShotOptions,
    folder: Path,
    ledger: Ledger,
    on_epoch: OnStageEpoch | None,
) -> SearchResult:
    """Train a hyper-network, and derive."""
    space, strategy, steps, flops = train_hyper_network(workbench, config, options, folder, on_epoch)
    derived = strategy.derived
    ledger.charge("search", flops, steps)
    ledger.charge("derivation", strategy.derivation_flops)
    if options.inherit:
        write_tensors(folder / "inherited.safetensors", _inherited(space, derived.layers))
    return SearchResult(
        layers=derived.layers,
        evaluations=derived.evaluations,
        search_seconds=strategy.seconds,
        search_steps=steps,
        search_flops=flops + strategy.derivation_flops,
        derivation_flops=strategy.derivation_flops,
        derivation=strategy.derivation,
        scores=derived.scores,
        gates=strategy.gates,
        front=pareto_front(derived.subsets),
    )


def _by_scores(
    workbench: Workbench, config: RunConfig, options: SpaceOptions, folder: Path, ledger: Ledger
) -> SearchResult:
    """Score the candidate layers, and take the best."""
    space = PromptLayerSpace(workbench.factory, budget_before_scores(workbench.num_layers, options))
    workbench.backbone.to(chosen_device())
    evaluator = new_evaluator(
        plain_batches(workbench, "train"),
        plain_batches(workbench, "dev"),
        workbench.spec.task,
        config.training,
        config.seed,
        folder,
    )
    strategy: ScoredLayers = new_strategy(options, config.seed)
    with device_memory():
        strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
    scores, flops, seconds = strategy.result
    ledger.charge("search", flops)
    return SearchResult(
        layers=strategy.layers,
        evaluations=0,
        search_seconds=seconds,
        search_steps=0,
        search_flops=flops,
        scores=scores,
        front=pareto_front(by_layer_scores(scores, space.budget)),
    )


def _multi_trial(
    workbench: Workbench,
    config: RunConfig,
    options: MultiTrialOptions,
    folder: Path,
    ledger: Ledger,
    train: TrainCandidate,
    engine: ExecutionEngine | None,
    spent: int,
) -> SearchResult:
    """Train candidates, and keep the best; `spent` FLOPs have gone before."""
    budget = budget_before_scores(workbench.num_layers, options)
    limited, dearest = options.budget_flops is not None, budget.allowed[: budget.k]
    # NNI warns, on standard output, of a space whose last candidate is tried
    with quiet_logger("nni.nas.strategy"):
        candidates = explore(
            new_strategy(options, config.seed),
            budget,
            train,
            options.evaluations,
            engine=engine,
            ledger=ledger,
            max_candidate_flops=candidate_flops(workbench, dearest) if limited else 0,
            reserved_flops=spent + retraining_flops(workbench, dearest) if limited else 0,
            record=folder / "candidates.jsonl",
        )
    subsets = scored_subsets(candidates.scores, budget.total)
    best = candidates[choose(subsets, options.cost_weight)]
    # the best one's training is the run's, unless it was judged by folds
    others = [tried for tried in candidates.tried if tried is not best or workbench.folds is not None]
    return SearchResult(
        layers=best.layers,
        evaluations=len(candidates.tried),
        search_seconds=sum(tried.seconds for tried in others),
        search_steps=sum(tried.steps for tried in others),
        search_flops=sum(tried.flops for tried in others),
        front=pareto_front(subsets),
    )


def _inherited(space: PromptedModel, layers: Layers) -> dict[str, torch.Tensor]:
    """Return generators and head of a hyper-network under the names they have in the discrete model."""
    weights = {
        # layers may share a generator, which safetensors would refuse
        f"choices.{layer}.{name}": tensor.clone()
        for layer, gated in gated_layers(space).items()
        if layer in layers
        for name, tensor in gated.insert.state_dict().items()
    }
    return {**weights, **{f"head.{name}": tensor for name, tensor in space.head.state_dict().items()}}
