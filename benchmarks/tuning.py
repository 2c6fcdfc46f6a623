"""What tuning costs beside its trials, and what it gains over the default regularisation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from ray.tune import Callback

from benchmarks import CHECKOUT
from benchmarks.record import command_of, write_result
from experiments.cluster.connect import cluster
from experiments.comparing.grid import RunOutcome, run_grid
from experiments.comparing.statistics import spread
from experiments.config import RunConfig, checked
from experiments.tuning.config import TuneConfig, load_tune_config
from experiments.tuning.session import best_trials, metrics_of, tune
from experiments.tuning.trial import ATTEMPT_SECONDS
from spt.errors import TrialFailed
from spt.storage.files import write_text
from spt.storage.json_files import read_json

SHIPPED = CHECKOUT / "experiments" / "tune.yml"
SLOTS = 2
SHOTS = 16
# batches as small as these rows need for enough steps to learn anything: SST-2 has 32 rows
RECIPE = {
    "search": {"strategy": "spt_darts", "k": 2, "epochs": 6},
    "training": {"epochs": 12, "batch_size": 4, "patience": 12},
}
# a trial of these takes some twenty seconds of one core
OVERHEAD = {"data": {"train_size": 100, "dev_size": 100, "test_size": 100}, "training": {"epochs": 4}}
OVERHEAD_TRIALS = 10
LEAST_SECONDS = 10.0
Say = Callable[[str], None]


class Clock(Callback):  # type: ignore[misc]
    """Tune's own wall time, from its start to the end of the last trial."""

    def setup(self, *arguments: Any, **info: Any) -> None:
        """Note when Tune starts."""
        self.began = time.monotonic()

    def on_experiment_end(self, trials: Any, **info: Any) -> None:
        """Note how long Tune took."""
        self.seconds = time.monotonic() - self.began


def few_shot(task: str, seed: int, data_folder: Path | None) -> RunConfig:
    """Return the configuration of a run on 16 rows a class.

    Args:
        task: trec or sst2.
        seed: of the sample and of the run.
        data_folder: of SST-2's files, stsa.binary.train and .test, a label, a space and a text a line; the
            hub's by default.
    """
    data: dict[str, Any] = {"shots_per_class": SHOTS}
    tree: dict[str, Any] = {"name": f"{task}_{seed}", "seed": seed, "threads": 1, "task": task}
    if task == "sst2" and data_folder is not None:
        tree["task"] = {"name": "sst2", "labels": ["0", "1"]}
        files = {split: str((data_folder / f"stsa.binary.{split}").resolve()) for split in ("train", "test")}
        data.update({**files, "format": "lines"})
    return checked({**tree, "data": data, **RECIPE}, "the benchmark")


def measure_tuning(
    folder: Path,
    data_folder: Path | None = None,
    tasks: Sequence[str] = ("trec", "sst2"),
    seeds: Sequence[int] = range(5),
    trials: int = 12,
    say: Say = print,
    result: str = "tuning",
) -> Path:
    """Measure both and write benchmarks/results/<result>.json; what `folder` holds is not repeated.

    Args:
        folder: of runs and studies.
        data_folder: see `few_shot`.
        tasks: trec, sst2 or both.
        seeds: each one sample of 16 rows a class, and one study; at least two for an interval.
        trials: of a study.
        say: told what is done.
        result: name of the JSON.

    Raises:
        InputError: for data that cannot be had, or a folder of another measurement.
        TrialFailed: if a run with the default values fails, or every trial of a study.
    """
    with cluster():
        overhead = read_or_make(folder / "overhead.json", lambda: measure_overhead(folder / "overhead"))
        say(f"overhead: {overhead['ratio']:.2f} times half of the trials' own seconds")
        configs = {f"{task}/{seed}": few_shot(task, seed, data_folder) for task in tasks for seed in seeds}
        defaults = run_grid(configs, folder / "default", workers=SLOTS)
        records = []
        for name, config in configs.items():
            make = partial(tune_one, config, folder / "tuned" / name, trials)
            records.append(
                compared(config, defaults[name], read_or_make(folder / "tuned" / f"{name}.json", make))
            )
            say(f"{name}: default {records[-1]['default_test']:.3f}, tuned {records[-1]['tuned_test']:.3f}")
    differences = {
        task: asdict(spread([record["difference"] for record in records if record["task"] == task]))
        for task in tasks
    }
    of_folder = [] if data_folder is None else ["--data-folder", data_folder]
    command = command_of("tuning", "--seeds", len(seeds), "--trials", trials, *of_folder, result=result)
    return write_result(
        result, command, records, shots=SHOTS, trials=trials, overhead=overhead, difference=differences
    )


def read_or_make(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Read a JSON file that was written before, or make its content and write it."""
    if path.exists():
        return read_json(path, "Delete it to measure it again.")
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(made, indent=1) + "\n")
    return made


def measure_overhead(folder: Path) -> dict[str, Any]:
    """Measure ten trials on two slots: Tune's wall time over half the sum of the trials' own seconds.

    A study that was stopped is begun anew: a part of one has no wall time.
    """
    run = checked({"name": "overhead", "threads": 1, "task": "trec", **OVERHEAD}, "the benchmark")
    config = study(run, OVERHEAD_TRIALS, asha=None)
    clock = Clock()
    began = time.monotonic()
    tuned_study = tune(config, fresh(folder), watch=clock)
    command_seconds = time.monotonic() - began
    seconds = [
        metrics_of(trial)[ATTEMPT_SECONDS]
        for trial in tuned_study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    ]
    if len(seconds) < OVERHEAD_TRIALS or min(seconds) < LEAST_SECONDS:
        raise TrialFailed(
            f"The overhead needs {OVERHEAD_TRIALS} trials of {LEAST_SECONDS} s, but got {seconds}."
        )
    ideal = sum(seconds) / SLOTS
    return {
        "trial_seconds": seconds,
        "tune_seconds": clock.seconds,
        "command_seconds": command_seconds,
        "ratio": clock.seconds / ideal,
        "command_ratio": command_seconds / ideal,
    }


def fresh(folder: Path) -> Path:
    """Return a folder beside the ones of earlier attempts."""
    attempt = 0
    while (folder / str(attempt)).exists():
        attempt += 1
    return folder / str(attempt)


def study(run: RunConfig, trials: int, **keys: Any) -> TuneConfig:
    """Return the shipped search space over a run."""
    shipped = load_tune_config(SHIPPED).model_dump(by_alias=True)
    changes = {"name": "study", "trials": trials, "concurrency": SLOTS, "seed": run.seed, "run": run, **keys}
    return TuneConfig.model_validate({**shipped, **changes})


def tune_one(run: RunConfig, folder: Path, trials: int) -> dict[str, Any]:
    """Tune a run; returns the values of the best trial on dev and what it gave."""
    tuned_study = tune(study(run, trials), folder, resume=(folder / "tune.yml").exists())
    best = best_trials(tuned_study)[0]
    states = [trial.state.name for trial in tuned_study.get_trials(deepcopy=False)]
    return {
        "parameters": best.params,
        **{name: metrics_of(best)[name] for name in ("dev_metric", "test_metric")},
        "states": {state: states.count(state) for state in sorted(set(states))},
    }


def compared(run: RunConfig, outcome: RunOutcome, tuned: Mapping[str, Any]) -> dict[str, Any]:
    """Return one line of the result."""
    if (default := outcome.metrics) is None:
        raise TrialFailed(f"{run.name} with the default values: {outcome.failure}")
    return {
        "task": run.task.name,
        "seed": run.seed,
        "default_dev": default["dev_metric"],
        "default_test": default["test_metric"],
        "tuned_dev": tuned["dev_metric"],
        "tuned_test": tuned["test_metric"],
        "difference": tuned["test_metric"] - default["test_metric"],
        "parameters": tuned["parameters"],
        "states": tuned["states"],
    }
