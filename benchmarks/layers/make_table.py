"""Train every subset of a small space over several seeds: `python -m benchmarks table`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import CHECKOUT
from benchmarks.layers.table_file import TableFile
from benchmarks.layers.trainings import run_trainings
from benchmarks.record import arguments_of, command_of
from experiments.comparing.grid import OnDone, RunOutcome
from experiments.comparing.truth import TREC
from experiments.config import RunConfig, load_config
from search_spaces.budget import Budget
from spt.architecture import Layers, layers_name
from spt.errors import InputError
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
    add: bool = False,
) -> int:
    """Train what is missing below `folder` and write the table; returns how many trainings failed.

    Seeds are done one after the other, so that a table of fewer seeds is finished early. Until its seeds are
    whole, what was trained is among the results, for another machine to add to.

    Args:
        folder: of the trainings.
        path: of the table.
        seeds: of every subset.
        workers: trainings at a time; 0 for one a core.
        on_done: told each training as it ends.
        config: what every training is of; its search.k is the size of the subsets.
        overrides: dotted keys over the configuration.
        layers: L, of the configuration's backbone.
        add: train only what neither the table nor what is begun of it has.

    Raises:
        InputError: if the configuration has no search.k, data and backbone do not fit, or the table to add to
            is of another configuration.
    """
    base = load_config(config, overrides)
    if not isinstance(base.search, SpaceOptions):
        raise InputError(f"'{config}' has search.strategy=manual. Leave it out: its search.k is the table's.")
    budget = Budget(layers, base.search.k)
    command = command_of("table", config) + arguments_of(overrides or {})
    command += f" --layers {layers} --seeds {len(seeds)}" + " --add" * add
    file = TableFile(path, budget, base, command)
    trained = file.read() if add else {}
    missing = {
        name_of(subset, seed): (subset, seed)
        for seed in seeds
        for subset in file.subsets
        if (subset, seed) not in trained
    }
    failed = 0

    def record(name: str, outcome: RunOutcome) -> None:
        nonlocal failed
        if outcome.metrics is None:
            failed += 1
        else:
            trained[missing[name]] = dict(outcome.metrics)
            file.write(trained)
        if on_done is not None:
            on_done(name, outcome)

    run_trainings({name: fixed(base, *key) for name, key in missing.items()}, folder, workers, record)
    return failed
