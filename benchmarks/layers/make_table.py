"""Train every subset of a small space over several seeds: `python -m benchmarks table`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import CHECKOUT
from benchmarks.layers.trainings import run_trainings
from benchmarks.record import arguments_of, command_of
from experiments.comparing.grid import OnDone, RunOutcome
from experiments.comparing.truth import TREC
from experiments.config import RunConfig, load_config
from search_spaces.budget import Budget
from spt.architecture import Layers, layers_name
from spt.errors import InputError
from spt.files import write_text
from spt.provenance import Provenance
from spt.workbench import SPLITS
from strategies.options import ManualOptions, SpaceOptions

TABLE_CONFIG = CHECKOUT / "experiments" / "configs" / "truth_trec_l6_k2.yml"
LAYERS = 6


def name_of(layers: Layers, seed: int) -> str:
    """Return a training's folder: 1+4-seed2."""
    return f"{layers_name(layers)}-seed{seed}"


def fixed(config: RunConfig, layers: Layers, seed: int) -> RunConfig:
    """Return the config with prompts at `layers`, without a search."""
    search = ManualOptions(manual_layers=layers, budget_flops=config.search.budget_flops)
    return config.model_copy(update={"search": search, "seed": seed})


def make_table(
    folder: Path,
    path: Path = TREC,
    seeds: Sequence[int] = range(6),
    workers: int = 0,
    on_done: OnDone | None = None,
    config: Path = TABLE_CONFIG,
    overrides: Mapping[str, Any] | None = None,
    layers: int = LAYERS,
) -> int:
    """Train what is missing below `folder` and write the table; returns how many trainings failed.

    Seeds are done one after the other, so that a table of fewer seeds is finished early: it is written again
    with each.

    Args:
        folder: of the trainings.
        path: of the table.
        seeds: of every subset.
        workers: trainings at a time; 0 for one a core.
        on_done: told each training as it ends.
        config: what every training is of; its search.k is the size of the subsets.
        overrides: dotted keys over the configuration.
        layers: L, of the configuration's backbone.

    Raises:
        InputError: if the configuration has no search.k, or data and backbone do not fit.
    """
    base = load_config(config, overrides)
    if not isinstance(base.search, SpaceOptions):
        raise InputError(f"'{config}' has search.strategy=manual. Leave it out: its search.k is the table's.")
    budget = Budget(layers, base.search.k)
    configs = {
        name_of(subset, seed): fixed(base, subset, seed) for seed in seeds for subset in subsets_of(budget)
    }
    command = command_of("table", config) + arguments_of(overrides or {})
    command += f" --layers {layers} --seeds {len(seeds)}"
    done: dict[str, RunOutcome] = {}

    def write_finished(seed: int) -> None:
        finished = [other for other in seeds if is_finished(budget, other, done)]
        if seed in finished:
            write_table(path, budget, finished, done, base, command)

    def record(name: str, outcome: RunOutcome) -> None:
        done[name] = outcome
        if on_done is not None:
            on_done(name, outcome)
        write_finished(configs[name].seed)

    run_trainings(configs, folder, workers, record)
    return sum(outcome.failure is not None for outcome in done.values())


def subsets_of(budget: Budget) -> list[Layers]:
    """Return the layers of every subset of a budget."""
    return [subset.layers for subset in budget]


def is_finished(budget: Budget, seed: int, done: Mapping[str, RunOutcome]) -> bool:
    """Say whether every subset has been trained with a seed."""
    outcomes = [done.get(name_of(subset, seed)) for subset in subsets_of(budget)]
    return all(outcome is not None and outcome.failure is None for outcome in outcomes)


def write_table(
    path: Path,
    budget: Budget,
    seeds: Sequence[int],
    done: dict[str, RunOutcome],
    config: RunConfig,
    command: str,
) -> None:
    """Write one record a subset, its figures in the order of the seeds."""

    def record(subset: Layers) -> dict[str, Any]:
        runs = [done[name_of(subset, seed)].metrics or {} for seed in seeds]
        keys = ("dev_metric", "test_metric", "train_flops", "train_seconds", "tunable_parameters")
        return {
            "layers": subset,
            "seeds": list(seeds),
            **{key: [run[key] for run in runs] for key in keys},
        }

    content = {
        **Provenance.now(command).as_json(),
        "layers_total": budget.total,
        "run": without_folders(config),
        "records": [record(subset) for subset in subsets_of(budget)],
    }
    write_text(path, json.dumps(content) + "\n")


def without_folders(config: RunConfig) -> dict[str, Any]:
    """Return a configuration as JSON has it, its data files by their names alone."""
    tree = config.model_dump(mode="json")
    files = {key: Path(value).name for key in SPLITS if isinstance(value := tree["data"].get(key), str)}
    return {**tree, "data": {**tree["data"], **files}}
