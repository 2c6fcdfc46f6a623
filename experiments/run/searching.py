"""The search of a run: any strategy of the registry, within the run's budget, handed what trains layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from nni.nas.execution import ExecutionEngine, SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from safetensors.torch import save_file

from experiments.config import RunConfig
from experiments.run.estimates import dev_flops, training_flops
from experiments.run.results import SearchResult
from experiments.run.training import OnStageEpoch, record_epochs
from search_spaces.budget import Budget, Layers
from search_spaces.named_layers import named_layers
from search_spaces.prompt_layers import PromptLayerSpace
from spt.architecture import PromptLayers
from spt.errors import InputError
from spt.flops import FlopCounter
from spt.model import PromptedModel
from spt.training.result import TrainingResult
from spt.workbench import Workbench
from strategies.candidates import explore
from strategies.derivation import check_derivation, most_evaluations
from strategies.evaluator import new_evaluator
from strategies.hyper_network import gated_layers
from strategies.ledger import Ledger
from strategies.multi_trial import check_exhaustive
from strategies.one_shot import OneShot
from strategies.registry import ONE_SHOT, new_strategy

TrainCandidate = Callable[[PromptLayers], TrainingResult]


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
    name = config.search.strategy
    if name == "manual":
        layers = _named(workbench, config).layers
        return SearchResult(layers, evaluations=0, search_seconds=0.0, search_steps=0, search_flops=0)
    if name in ONE_SHOT:
        return _one_shot(workbench, config, folder, ledger, on_epoch)
    return _multi_trial(workbench, config, folder, ledger, train, engine)


def check(workbench: Workbench, config: RunConfig) -> None:
    """Refuse what cannot be searched, before anything is written.

    Raises:
        InputError: for prompts that the backbone cannot have, layers that it does not have, an impossible
            budget, or a strategy or derivation that does not fit the space.
    """
    workbench.factory.model(PromptLayers.of([0], workbench.num_layers))
    search = config.search
    if search.strategy == "manual":
        _named(workbench, config)
    else:
        budget = _budget(workbench, config)
        strategy = new_strategy(search.strategy, _options(config))
        if isinstance(strategy, OneShot):
            check_derivation(strategy.derivation, budget)
        if search.strategy == "exhaustive":
            check_exhaustive(budget, search.evaluations)
    needed = _reserved(workbench, config)
    if search.budget_flops is not None and search.budget_flops < needed:
        raise InputError(
            f"search.budget_flops is {search.budget_flops:.3g}, but {search.strategy} needs up to "
            f"{needed:.3g} for one training of the layers, and to choose them. Raise it, or lower "
            f"training.epochs."
        )


def _budget(workbench: Workbench, config: RunConfig) -> Budget:
    search = config.search
    return Budget(workbench.num_layers, search.layers, search.exactly, search.candidates)


def _named(workbench: Workbench, config: RunConfig) -> PromptLayers:
    return named_layers(config.search.manual_layers, workbench.num_layers)


def _options(config: RunConfig) -> dict[str, Any]:
    return {**config.search.model_dump(), "seed": config.seed}


def _reserved(workbench: Workbench, config: RunConfig) -> float:
    """Return the FLOPs that must be left when a search ends: for its derivation and the retraining.

    0 where there is no budget.
    """
    search = config.search
    if search.budget_flops is None:
        return 0
    if search.strategy == "manual":
        return training_flops(workbench, _named(workbench, config).layers)
    budget = _budget(workbench, config)
    retraining = training_flops(workbench, budget.allowed[: budget.k])
    if search.strategy not in ONE_SHOT:
        return retraining
    strategy = new_strategy(search.strategy, _options(config))
    # an epoch may end just before the last step that fits, and the last epoch ends with a score too
    scores = 2 + most_evaluations(strategy.derivation, budget, strategy.limits)
    every_layer = workbench.factory.model(PromptLayers.of(budget.allowed, budget.total))
    return retraining + scores * dev_flops(workbench, every_layer)


def _one_shot(
    workbench: Workbench, config: RunConfig, folder: Path, ledger: Ledger, on_epoch: OnStageEpoch | None
) -> SearchResult:
    """Train a hyper-network, and derive."""
    search = config.search
    space = PromptLayerSpace(workbench.factory, _budget(workbench, config))
    limit = None if search.budget_flops is None else search.budget_flops - _reserved(workbench, config)
    history = {} if search.strategy == "one_shot_random" else {"history": folder / "gates.jsonl"}
    strategy = new_strategy(search.strategy, _options(config), flops_limit=limit, **history)
    train, dev = workbench.batches("train", space, shuffled=True), workbench.batches("dev", space)
    evaluator = new_evaluator(
        train.loader,
        dev.loader,
        workbench.spec.task,
        config.training.model_copy(update={"epochs": search.epochs}),
        config.seed,
        folder,
        record_epochs(folder, "search", on_epoch),
    )
    strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
    derived = strategy.derived
    steps = evaluator.trainer.global_step
    ledger.charge("search", train.flops + dev.flops + strategy.training_flops, steps)
    ledger.charge("derivation", strategy.derivation_flops)
    if search.inherit:
        save_file(_inherited(space, derived.layers), folder / "inherited.safetensors")
    every_rule = strategy.rules if search.compare_derivations else ()
    return SearchResult(
        layers=derived.layers,
        evaluations=derived.evaluations,
        search_seconds=strategy.seconds,
        search_steps=steps,
        search_flops=ledger.flops,
        derivation_flops=strategy.derivation_flops,
        derivation=strategy.derivation,
        scores=derived.scores,
        gates=strategy.gates,
        derivations={rule: _counted(strategy, rule) for rule in every_rule} or None,
    )


def _counted(strategy: OneShot, rule: str) -> dict[str, Any]:
    """Return what a derivation finds, and the FLOPs it takes."""
    if rule == strategy.derivation:
        return {**strategy.derived.__dict__, "flops": strategy.derivation_flops}
    with FlopCounter() as counter:
        derived = strategy.derive(rule)
    return {**derived.__dict__, "flops": counter.total}


def _multi_trial(
    workbench: Workbench,
    config: RunConfig,
    folder: Path,
    ledger: Ledger,
    train: TrainCandidate,
    engine: ExecutionEngine | None,
) -> SearchResult:
    """Train candidates, and keep the best."""
    search = config.search
    candidates = explore(
        new_strategy(search.strategy, _options(config)),
        _budget(workbench, config),
        train,
        search.evaluations,
        engine=engine,
        ledger=ledger,
        dearest=_reserved(workbench, config),
        record=folder / "candidates.jsonl",
    )
    best = candidates.best()
    others = [tried for tried in candidates.tried if tried is not best]
    # the best one's training is the run's
    return SearchResult(
        layers=best.layers,
        evaluations=len(candidates.tried),
        search_seconds=sum(tried.seconds for tried in others),
        search_steps=sum(tried.steps for tried in others),
        search_flops=sum(tried.flops for tried in others),
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
