"""`python -m benchmarks prompt-tuning`: a free prompt at the input, beside which deep searches stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from benchmarks.layers.search_deep import load_tables
from benchmarks.layers.trainings import run_trainings
from benchmarks.record import arguments_of, command_of, write_result
from experiments.comparing.grid import OnDone, RunOutcome
from experiments.config import RunConfig, checked
from experiments.keys import override

# experiments/configs/methods/prompt_tuning.yml, at the length of the tables' prompts
KEYS = {
    "search.strategy": "manual",
    "search.manual_layers": "input",
    "prompt.generator": "free",
    "prompt.init": "vocabulary",
    "training.prompt_rate": None,
    "training.generator_rate": None,
}
RATES = (0.01, 0.05, 0.2)
# none of the tables' seeds
SWEEP_SEED = 100
KEPT = ("dev_metric", "test_metric", "train_flops", "train_seconds", "tunable_parameters")


def measure_prompt_tuning(
    folder: Path,
    overrides: Mapping[str, Any],
    tables: Mapping[str, Path],
    workers: int = 0,
    on_done: OnDone | None = None,
    result: str = "prompt_tuning",
) -> int:
    """Train Prompt Tuning on the tables' tasks and seeds, and write benchmarks/results/<result>.json.

    Args:
        folder: of the trainings, where the same command goes on.
        overrides: dotted keys over the configurations of the tables, after the task's name.
        tables: task -> its truth table.
        workers: trainings at a time; 0 for one a core.
        on_done: told each training as it ends.
        result: name of the JSON.

    Returns:
        How many trainings that should be reported there are not.

    Raises:
        InputError: for a bad table or key.
    """
    deep = load_tables(overrides, tables)
    seeds = sorted({seed for truth in deep.values() for seed in truth.table.seeds})
    runs = {task: truth.run for task, truth in deep.items()}
    outcomes = train_prompt_tuning(runs, seeds, folder, workers, on_done)
    records = [
        {"task": task, "seed": seed, **{key: outcome.metrics[key] for key in KEPT}}
        for (task, seed), outcome in outcomes.items()
        if outcome.metrics is not None
    ]
    command = command_of("prompt-tuning", *(f"--on={task}" for task in tables), result=result)
    write_result(
        result,
        command + arguments_of(overrides),
        records,
        rates=RATES,
        sweep_seed=SWEEP_SEED,
    )
    return len(deep) * len(seeds) - len(records)


def train_prompt_tuning(
    runs: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    folder: Path,
    workers: int,
    on_done: OnDone | None,
) -> dict[tuple[str, int], RunOutcome]:
    """Train a free prompt at the input with each seed, at the rate of the best dev score of another seed.

    Args:
        runs: task -> configuration of its trainings, as JSON has it.
        seeds: of the trainings that are returned.
        folder: of all of them; what is there is read back.
        workers: trainings at a time; 0 for one a core.
        on_done: told each training as it ends.

    Returns:
        (task, seed) -> outcome; a task without any rate that trains has none.
    """
    tried = {
        (task, rate): config_of(run, SWEEP_SEED, rate, task) for task, run in runs.items() for rate in RATES
    }
    sweep = _outcomes(tried, folder, workers, on_done)
    rates = {task: best for task in runs if (best := _best_rate(task, sweep)) is not None}
    reported = {
        (task, seed): config_of(runs[task], seed, rate, task)
        for task, rate in rates.items()
        for seed in seeds
    }
    return _outcomes(reported, folder, workers, on_done)


def config_of(run: Mapping[str, Any], seed: int, rate: float, task: str) -> RunConfig:
    """Return a table's configuration with a free prompt at the input, a seed and a rate."""
    tree = {**deepcopy(dict(run)), "search": {}}
    override(tree, {**KEYS, "seed": seed, "training.learning_rate": rate})
    return checked(tree, f"Prompt Tuning on {task}")


def _outcomes(
    configs: Mapping[tuple[str, Any], RunConfig], folder: Path, workers: int, on_done: OnDone | None
) -> dict[tuple[str, Any], RunOutcome]:
    names = {
        cell: f"{cell[0]}/prompt_tuning/rate{config.training.learning_rate:g}-seed{config.seed}"
        for cell, config in configs.items()
    }
    done = run_trainings({names[cell]: config for cell, config in configs.items()}, folder, workers, on_done)
    return {cell: done[name] for cell, name in names.items()}


def _best_rate(task: str, sweep: Mapping[tuple[str, Any], RunOutcome]) -> float | None:
    """Return the rate of the best dev score, the lower one of two equals; None where all have failed."""
    scored = [
        (outcome.metrics["dev_metric"], -rate)
        for (name, rate), outcome in sweep.items()
        if name == task and outcome.metrics is not None
    ]
    return -max(scored)[1] if scored else None
