"""The commands that are killed, over one small configuration: how each begins, and what it must end with."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.crash.ends import End, end_of, stable
from benchmarks.crash.processes import Begin
from spt.storage.files import write_text
from spt.storage.json_files import read_json

CONFIG, NAMED, EXPERIMENT = "config.yml", "named.yml", "compare.yml"
STUDY, BENCH, TRIALS = "tune.yml", "methods.yml", "spt.yml"
MANUAL = {"search.strategy": "manual", "search.manual_layers": [1]}
GATES = {
    "search.strategy": "spt_darts",
    "search.k": 1,
    "search.epochs": 2,
    "search.warmup_epochs": 0,
    "search.inherit": True,
}
CANDIDATES = {"search.k": 2, "search.exactly": False, "search.evaluations": 3}
TRIALS_OF_A_STUDY = 3
EXPERIMENT_SECONDS = 300.0
# Ray's workers end at once, but its agents try for a minute to say that they do
RAY_GRACE = 120.0
# the manager ends its trials first
NNI_GRACE = 15.0


@dataclass(frozen=True)
class Deed:
    """A command that is killed.

    Attributes:
        command: as a user types it.
        begin: does it in this process, or goes on with it, in a home and with the files of the inputs.
        end: what it left in a home, times aside.
        weight: kills that it gets of all, in relation to the others.
        workers: whether it has processes of its own that may be killed too.
        grace: seconds that those may take to end after it was killed.
        watched: folder of the home whose changes count; others are not of this project.
    """

    command: str
    begin: Begin
    end: Callable[[Path], End]
    weight: int
    workers: bool = True
    grace: float = 5.0
    watched: str = ""


def write_inputs(config: Mapping[str, Any], folder: Path) -> None:
    """Write the files that the deeds read, all of one configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    code = str(Path(__file__).parents[2])
    named = str(folder / NAMED)
    local = {"platform": "local"}
    trial = f"python3 -m experiments.trial --config {named}"
    files = {
        CONFIG: config,
        NAMED: {**config, "search": {key.removeprefix("search."): value for key, value in MANUAL.items()}},
        EXPERIMENT: {
            "searchSpace": {"seed": {"_type": "choice", "_value": [0, 1]}},
            "trialCommand": trial,
            "trialConcurrency": 1,
            "tuner": {"name": "GridSearch"},
            "trainingService": local,
        },
        STUDY: {
            "name": "crash",
            "trials": TRIALS_OF_A_STUDY,
            "run": named,
            "searchSpace": {
                "training.learning_rate": {"_type": "loguniform", "_value": [0.001, 0.1]},
                "prompt.dropout": {"_type": "uniform", "_value": [0.0, 0.3]},
            },
        },
        BENCH: {
            "name": "crash",
            "config": CONFIG,
            "seeds": [0],
            "conditions": {"all": {}},
            "methods": {"late": {"set": MANUAL, "learning_rates": [0.01, 0.003, 0.03]}},
        },
        TRIALS: {
            "searchSpace": {"seed": {"_type": "choice", "_value": [0]}},
            "trialCommand": f"{trial} --runs $HOME/runs",
            "trialCodeDirectory": code,
            "trialConcurrency": 1,
            "maxTrialNumber": 2,
            "tuner": {
                "className": "experiments.nni_trials.tuner.OptunaTuner",
                "codeDirectory": code,
                "classArgs": {"seed": 0},
            },
            "trainingService": local,
        },
    }
    for name, content in files.items():
        write_text(folder / name, yaml.safe_dump(content, sort_keys=False))


def run_stage(stage: str, keys: Mapping[str, Any], home: Path, inputs: Path) -> None:
    """Do `spt run`, `search` or `train` with dotted keys over those of the configuration."""
    from experiments.cli import app  # noqa: PLC0415

    words = [f"{key}={value}" for key, value in keys.items()]
    app([stage, str(inputs / CONFIG), *words, "--folder", str(home / "run"), "--quiet"])


def _run_deed(stage: str, keys: Mapping[str, Any], weight: int) -> Deed:
    words = " ".join(f"{key}={value}" for key, value in keys.items())
    return Deed(
        f"spt {stage} {CONFIG} {words}".replace(" [", "["),
        partial(run_stage, stage, keys),
        _end_of_run,
        weight,
        workers=False,
    )


def _end_of_run(home: Path) -> End:
    return end_of(home / "run")


def _fork_workers() -> None:
    """Let workers begin as copies of this process, which has imported all they need."""
    from experiments.comparing import grid  # noqa: PLC0415

    def fork(_method: str) -> Any:
        return multiprocessing.get_context("fork")

    vars(grid)["get_context"] = fork


def _compare(home: Path, inputs: Path) -> None:
    from experiments.cli import app  # noqa: PLC0415

    _fork_workers()
    app(["compare", str(inputs / EXPERIMENT), "--folder", str(home / "run"), "--workers", "2", "--quiet"])


def _methods(home: Path, inputs: Path) -> None:
    from benchmarks import record  # noqa: PLC0415
    from benchmarks.methods.measure import measure_methods  # noqa: PLC0415
    from experiments.console import GOES_ON, exit_code  # noqa: PLC0415

    _fork_workers()
    record.RESULTS = home / "run"
    bench, folder = inputs / BENCH, home / "run" / "bench"
    # the command is in the file that imports this one
    raise SystemExit(exit_code(lambda: int(measure_methods(bench, folder, workers=2) > 0), GOES_ON))


def _tune(home: Path, inputs: Path) -> None:
    from experiments.cli import app  # noqa: PLC0415

    folder = home / "study"
    resume = ["--resume"] if (folder / "tune.yml").exists() else []
    app(["tune", str(inputs / STUDY), "--folder", str(folder), "--quiet", *resume])


def _end_of_study(home: Path) -> End:
    from experiments.tuning.study import open_study  # noqa: PLC0415

    folder = home / "study"
    study = open_study("crash", ["maximize"], "random", 0, folder / "optuna.journal")
    trials = [
        [trial.state.name, trial.params, trial.values, trial.intermediate_values]
        for trial in study.get_trials(deepcopy=False)
    ]
    best = {f"best/{name}": content for name, content in end_of(folder / "best").items()}
    return {"trials": trials, "best.yml": (folder / "best.yml").read_text(encoding="utf-8"), **best}


def _nnictl(home: Path, inputs: Path) -> None:
    from experiments.nni_trials.experiment import NniExperiment  # noqa: PLC0415

    known = _created(home / "nni-experiments" / ".experiment")
    environment = {"OMP_NUM_THREADS": "1"}
    with NniExperiment(
        inputs / TRIALS, environment=environment, resume=known[0] if known else None
    ) as experiment:
        for _ in experiment.watch(EXPERIMENT_SECONDS):
            pass


def _created(record: Path) -> list[str]:
    """Return the ids of the experiments that nnictl has created, as it keeps them."""
    return list(read_json(record, "")) if record.exists() else []


def _end_of_experiment(home: Path) -> End:
    """Return the distinct metrics of the trials, which all have the same parameters."""
    metrics = [stable(read_json(path, "")) for path in home.rglob("metrics.json")]
    return {"metrics": [one for number, one in enumerate(metrics) if one not in metrics[:number]]}


def _demo(_home: Path, inputs: Path) -> None:
    from experiments import demo  # noqa: PLC0415

    vars(demo).update(EXPERIMENT=inputs / TRIALS, RUN_CONFIG=inputs / CONFIG, ASSETS=())
    raise SystemExit(demo.main())


def _end_of_demo(home: Path) -> End:
    summary = stable(read_json(home / "runs" / "demo" / "summary.json", ""))
    return {key: value for key, value in summary.items() if key not in ("experiment_id", "best_trial")}


DEEDS: Mapping[str, Deed] = {
    "run spt_darts": _run_deed("run", GATES, 30),
    "run random": _run_deed("run", {"search.strategy": "random", **CANDIDATES}, 30),
    "run evolution": _run_deed(
        "run",
        {"search.strategy": "evolution", **CANDIDATES, "search.population": 2, "search.tournament": 2},
        30,
    ),
    "run manual": _run_deed("run", MANUAL, 20),
    "search": _run_deed("search", GATES, 10),
    "train": _run_deed("train", MANUAL, 10),
    "compare": Deed(f"spt compare {EXPERIMENT}", _compare, _end_of_run, 15),
    "methods": Deed(f"python -m benchmarks methods {BENCH}", _methods, _end_of_run, 15),
    "tune": Deed(f"spt tune {STUDY}, then with --resume", _tune, _end_of_study, 4, grace=RAY_GRACE),
    "nnictl": Deed(
        f"nnictl create --config {TRIALS}, then resume",
        _nnictl,
        _end_of_experiment,
        2,
        grace=NNI_GRACE,
        watched="runs",
    ),
    "demo": Deed("python -m experiments.demo", _demo, _end_of_demo, 2, grace=NNI_GRACE, watched="runs"),
}
