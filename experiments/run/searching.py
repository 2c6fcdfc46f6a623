"""The search of a run: any strategy of the registry, within the run's budget, handed what trains layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from nni.nas.execution import ExecutionEngine, SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace

from experiments.config import RunConfig
from experiments.run.estimates import candidate_flops, retraining_flops
from experiments.run.folder import CANDIDATES, GATES, INHERITED
from experiments.run.results import SearchResult
from experiments.run.scoring import plain_batches, with_scored_candidates
from experiments.run.search_budget import costliest_layers, reserved_flops, searched_budget
from experiments.run.training import OnStageEpoch, epoch_history, epochs_of
from search_spaces.named_layers import named_layers
from search_spaces.prompt_layers import PromptLayerSpace
from spt.architecture import PromptLayers
from spt.model import PromptedModel
from spt.process.devices import chosen_device
from spt.process.quiet import quiet_logger
from spt.storage.tensor_files import write_tensors
from spt.training.failures import device_memory
from spt.workbench import Workbench
from strategies.candidates import TrainCandidate, explore
from strategies.costs import pareto_front, scored_subsets
from strategies.evaluator import new_evaluator
from strategies.hyper_network import gated_layers
from strategies.layer_scores import ScoredLayers
from strategies.ledger import Ledger
from strategies.one_shot import OneShot
from strategies.options import (
    GateOptions,
    ManualOptions,
    MultiTrialOptions,
    OneShotOptions,
    SpaceOptions,
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
        named = named_layers(config.search.manual_layers, workbench.num_layers)
        return SearchResult(
            named.layers, evaluations=0, search_seconds=0.0, search_steps=0, search_flops=0, kinds=named.kinds
        )
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

    Args:
        workbench: of the run's data and backbone.
        config: of the run.
        options: of the strategy.
        folder: of the search.
        on_epoch: called after each epoch.

    Raises:
        TrialFailed: if the loss is not finite.
    """
    space = PromptLayerSpace(workbench.factory, searched_budget(workbench, options))
    reserved = reserved_flops(workbench, options, config.seed)
    train, dev = workbench.batches("train", space, shuffled=True), workbench.batches("dev", space)
    states = train.flops + dev.flops
    limit = None if options.budget_flops is None else options.budget_flops - reserved - states
    history = folder / GATES if isinstance(options, GateOptions) else None
    strategy: OneShot = new_strategy(options, config.seed, limit, history)
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
    flops = states + strategy.training_flops
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
        chosen = PromptLayers.of(derived.layers, space.budget.total, derived.kinds)
        write_tensors(folder / INHERITED, _inherited(space, chosen))
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
        kinds=derived.kinds,
        kind_scores=derived.kind_scores or None,
    )


def _by_scores(
    workbench: Workbench, config: RunConfig, options: SpaceOptions, folder: Path, ledger: Ledger
) -> SearchResult:
    """Score the candidate layers, and take the best."""
    space = PromptLayerSpace(workbench.factory, searched_budget(workbench, options))
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
        front=pareto_front(strategy.subsets),
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
    budget = searched_budget(workbench, options)
    limited, costliest = options.budget_flops is not None, costliest_layers(budget)
    max_candidate_flops = max(candidate_flops(workbench, layers) for layers in costliest) if limited else 0
    max_retraining_flops = max(retraining_flops(workbench, layers) for layers in costliest) if limited else 0
    # NNI warns, on standard output, of a space whose last candidate is tried
    with quiet_logger("nni.nas.strategy"):
        candidates = explore(
            new_strategy(options, config.seed),
            budget,
            train,
            options.evaluations,
            engine=engine,
            ledger=ledger,
            max_candidate_flops=max_candidate_flops,
            reserved_flops=spent + max_retraining_flops if limited else 0,
            record=folder / CANDIDATES,
        )
    subsets = scored_subsets(candidates.scores(budget.total), budget)
    best = candidates.best(budget, options.cost_weight)
    # the best one's training is the run's, unless it was judged by folds
    others = [tried for tried in candidates.tried if tried is not best or workbench.folds is not None]
    return SearchResult(
        layers=best.layers,
        evaluations=len(candidates.tried),
        search_seconds=sum(tried.seconds for tried in others),
        search_steps=sum(tried.steps for tried in others),
        search_flops=sum(tried.flops for tried in others),
        front=pareto_front(subsets),
        kinds=best.kinds,
    )


def _inherited(space: PromptedModel, chosen: PromptLayers) -> dict[str, torch.Tensor]:
    """Return generators and head of a hyper-network under the names they have in the discrete model."""
    weights = {
        # layers may share a generator, which safetensors would refuse
        f"choices.{layer}.{name}": tensor.clone()
        for layer, kind in chosen.by_layer.items()
        for name, tensor in gated_layers(space)[layer].module_of(kind).state_dict().items()
    }
    return {**weights, **{f"head.{name}": tensor for name, tensor in space.head.state_dict().items()}}
