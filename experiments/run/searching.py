"""The search stage of a run: any strategy of the registry, within the run's budget."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from safetensors.torch import save_file

from experiments.run.estimates import dev_flops, training_flops
from search_spaces.budget import Budget, Layers
from search_spaces.named_layers import named_layers
from search_spaces.prompt_layers import PromptLayerSpace
from spt.architecture import PromptLayers
from spt.errors import InputError
from spt.flops import FlopCounter
from spt.model import PromptedModel
from strategies.candidates import explore, name_of
from strategies.derivation import check_derivation, most_evaluations
from strategies.evaluator import new_evaluator
from strategies.hyper_network import gated_layers
from strategies.multi_trial import check_exhaustive
from strategies.one_shot import OneShot
from strategies.registry import ONE_SHOT, new_strategy

if TYPE_CHECKING:
    from experiments.pipeline import Run


def search(run: Run, folder: Path) -> dict[str, Any]:
    """Find layers with the run's strategy, and charge the run's ledger for it.

    Args:
        run: its config names the strategy.
        folder: of what the search keeps, to go on after a kill.

    Returns:
        What search.json holds.

    Raises:
        TrialFailed: if the search's loss is not finite, or every candidate fails.
    """
    name = run.config.search.strategy
    if name == "manual":
        return {"layers": _named(run).layers, "evaluations": 0, "seconds": 0.0, "steps": 0, "flops": 0}
    return _one_shot(run, folder) if name in ONE_SHOT else _multi_trial(run, folder)


def check(run: Run) -> None:
    """Refuse what cannot be searched, before anything is written.

    Raises:
        InputError: for layers that the backbone does not have, an impossible budget, or a strategy or
            derivation that does not fit the space.
    """
    search = run.config.search
    if search.strategy == "manual":
        _named(run)
    else:
        budget = _budget(run)
        strategy = new_strategy(search.strategy, _options(run))
        if isinstance(strategy, OneShot):
            check_derivation(strategy.derivation, budget)
        if search.strategy == "exhaustive":
            check_exhaustive(budget, search.evaluations)
    needed = _reserved(run)
    if search.budget_flops is not None and search.budget_flops < needed:
        raise InputError(
            f"search.budget_flops is {search.budget_flops:.3g}, but {search.strategy} needs up to "
            f"{needed:.3g} for one training of the layers, and to choose them. Raise it, or lower "
            f"training.epochs."
        )


def _budget(run: Run) -> Budget:
    search = run.config.search
    return Budget(run.backbone.num_layers, search.layers, search.exactly, search.candidates)


def _named(run: Run) -> PromptLayers:
    return named_layers(run.config.search.manual_layers, run.backbone.num_layers)


def _options(run: Run) -> dict[str, Any]:
    return {**run.config.search.model_dump(), "seed": run.config.seed}


def _reserved(run: Run) -> float:
    """Operations that must be left when a search's training ends: its derivation's, and the retraining's.

    0 where there is no budget.
    """
    search = run.config.search
    if search.budget_flops is None:
        return 0
    if search.strategy == "manual":
        return training_flops(run, _named(run).layers)
    budget = _budget(run)
    retraining = training_flops(run, budget.allowed[: budget.k])
    if search.strategy not in ONE_SHOT:
        return retraining
    strategy = new_strategy(search.strategy, _options(run))
    # an epoch may end just before the last step that fits, and the last epoch ends with a score too
    scores = 2 + most_evaluations(strategy.derivation, budget, strategy.limits)
    whole = run.factory.model(PromptLayers.of(budget.allowed, budget.total))
    return retraining + scores * dev_flops(run, whole)


def _one_shot(run: Run, folder: Path) -> dict[str, Any]:
    """Train a hyper-network, and derive."""
    config, search = run.config, run.config.search
    space = PromptLayerSpace(run.factory, _budget(run))
    limit = None if search.budget_flops is None else search.budget_flops - _reserved(run)
    history = {} if search.strategy == "one_shot_random" else {"history": folder / "gates.jsonl"}
    strategy = new_strategy(search.strategy, _options(run), flops_limit=limit, **history)
    with run.counted_prefix() as prefix:
        train, dev = run.loader("train", space, shuffled=True), run.loader("dev", space)
    recipe = config.training.model_copy(update={"epochs": search.epochs})
    listener = run.listener(folder, "search")
    evaluator = new_evaluator(train, dev, run.spec.task, recipe, config.seed, folder, listener)
    strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
    derived = strategy.derived
    steps = evaluator.trainer.global_step
    run.ledger.charge("search", prefix.flops + strategy.training_flops, steps)
    run.ledger.charge("derivation", strategy.derivation_flops)
    if search.inherit:
        save_file(_inherited(space, derived.layers), folder / "inherited.safetensors")
    found = {
        "layers": derived.layers,
        "derivation": strategy.derivation,
        "scores": derived.scores,
        "gates": strategy.gates,
        "evaluations": derived.evaluations,
        "seconds": strategy.seconds,
        "steps": steps,
        "flops": run.ledger.flops,
        "derivation_flops": strategy.derivation_flops,
    }
    if search.compare_derivations:
        found["derivations"] = {rule: _counted(strategy, rule) for rule in strategy.rules}
    return found


def _counted(strategy: OneShot, rule: str) -> dict[str, Any]:
    """What a derivation finds, and the operations it takes."""
    if rule == strategy.derivation:
        return {**strategy.derived.__dict__, "flops": strategy.derivation_flops}
    with FlopCounter() as counter:
        derived = strategy.derive(rule)
    return {**derived.__dict__, "flops": counter.total}


def _multi_trial(run: Run, folder: Path) -> dict[str, Any]:
    """Train candidates, here or on a Ray cluster, and keep the best."""
    search = run.config.search
    with ExitStack() as stack:
        engine, score = None, run.score
        if search.engine.kind == "ray":
            # loads ray, for which the rest need not wait
            from experiments.cluster.candidates import ray_candidates  # noqa: PLC0415

            engine, score = stack.enter_context(ray_candidates(run))
        found = explore(
            new_strategy(search.strategy, _options(run)),
            _budget(run),
            score,
            search.evaluations,
            engine=engine,
            ledger=run.ledger,
            dearest=_reserved(run),
            record=folder / "candidates.jsonl",
        )
    best = found.best()
    others = [tried for tried in found.tried if tried is not best]
    return {
        "layers": best.layers,
        "evaluations": len(found.tried),
        "seconds": sum(tried.seconds for tried in others),
        "steps": sum(tried.steps for tried in others),
        # the best one's training is the run's
        "flops": sum(tried.flops for tried in others),
    }


def candidate_folder(folder: Path, layers: Layers) -> Path:
    """Where a search keeps the training of a candidate."""
    return folder / "candidates" / name_of(layers)


def _inherited(space: PromptedModel, layers: Layers) -> dict[str, torch.Tensor]:
    """Generators and head of a hyper-network under the names they have in the discrete model."""
    weights = {
        # layers may share a generator, which safetensors would refuse
        f"choices.{layer}.{name}": tensor.clone()
        for layer, gated in gated_layers(space).items()
        if layer in layers
        for name, tensor in gated.insert.state_dict().items()
    }
    return {**weights, **{f"head.{name}": tensor for name, tensor in space.head.state_dict().items()}}
