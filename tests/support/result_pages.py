"""One page of every kind that commands write, from tiny runs that are trained once."""

from __future__ import annotations

from pathlib import Path

import yaml

from benchmarks.methods.results import COLUMNS
from experiments import pipeline
from experiments.comparing.compare import compare
from experiments.comparing.experiment_file import compared_cells
from experiments.comparing.groups import Comparison, RunRecord
from experiments.comparing.page import write_results
from experiments.config import RunConfig
from experiments.nested_choices import Parameters
from experiments.nni_trials.results import TrialNote, write_experiment_results
from experiments.tuning.config import TuneConfig
from experiments.tuning.report import write_study_report
from experiments.tuning.session import best_trials
from experiments.tuning.study import open_study
from tests.support.runs import tiny_config
from tests.support.tiny import tiny_tree

PAGE = "report.html"
# neither may make a page wide, or run
LONG_WORD = "a" * 200
MARKUP = f"<img src=x onerror=alert(1)> {LONG_WORD}"
SEARCHES: list[Parameters] = [
    {"search.strategy": strategy, "seed": seed} for strategy in ("spt_darts", "random") for seed in (0, 1)
]


def make_pages(home: Path) -> dict[str, Path]:
    """Train a few tiny runs, and write a page of each kind.

    Returns:
        kind of page -> its file.
    """
    configs = [_config(home, values) for values in SEARCHES]
    return {
        "run": _run(home),
        "comparison": _comparison(home / "comparison", configs),
        "experiment": _experiment(home / "experiment", configs),
        "bench": _bench(home / "bench"),
        "tuning": _tuning(home / "tuning", home),
    }


def _config(home: Path, values: Parameters) -> RunConfig:
    strategy, seed = str(values["search.strategy"]), int(values["seed"])
    more = {"evaluations": 2} if strategy == "random" else {"epochs": 2}
    training = {"epochs": 1, "batch_size": 16}
    return tiny_config(
        home,
        name=f"{strategy}-{seed}",
        seed=seed,
        search={"strategy": strategy, **more},
        training=training,
        baselines=False,
    )


def _run(home: Path) -> Path:
    """Make the page of a run with all of its parts, over texts that could break it."""
    tree = tiny_tree(home)
    source = Path(tree["data"]["train"])
    hostile = home / "hostile.csv"
    head, *rows = source.read_text(encoding="utf-8").splitlines()
    hostile.write_text("\n".join([head, *(f"{MARKUP} {row}" for row in rows)]) + "\n", encoding="utf-8")
    config = tiny_config(home, name="run", data={"train": str(hostile)}, training={"epochs": 1})
    pipeline.run(config, home / "run")
    return home / "run" / PAGE


def _comparison(folder: Path, configs: list[RunConfig]) -> Path:
    for config in configs:
        pipeline.run(config, folder / config.name)
    compare(compared_cells(SEARCHES, configs), folder, "Two strategies", "spt compare FILE", workers=1)
    return folder / PAGE


def _experiment(folder: Path, configs: list[RunConfig]) -> Path:
    """Make the page of an experiment whose trials are the comparison's runs, and one that failed."""
    folder.mkdir()
    for number, (values, config) in enumerate(zip(SEARCHES, configs, strict=True)):
        trial = folder / config.name
        trial.symlink_to(folder.parent / "comparison" / config.name)
        TrialNote(number, values).write(trial)
    failed = folder / "failed"
    failed.mkdir()
    (failed / "config.yml").write_text(
        yaml.safe_dump({"run": configs[0].model_copy(update={"seed": 7}).model_dump(mode="json")}), "utf-8"
    )
    (failed / "failure.txt").write_text(f"The loss is nan. {LONG_WORD}\n", encoding="utf-8")
    TrialNote(len(configs), {"search.strategy": "spt_darts", "seed": 7}).write(failed)
    write_experiment_results(folder, "E", "nnictl create --config FILE")
    return folder / PAGE


def _bench(folder: Path) -> Path:
    """Make the page of methods side by side, from scores that never were."""

    def record(method: str, seed: int) -> RunRecord:
        score = {"spt": 0.9, "lora": 0.92}[method] + seed / 100
        metrics = {column.key: score for column in COLUMNS} | {"metric": "accuracy", "layers": [1, 2]}
        return RunRecord(method, "trec", seed, {"method": method}, {**metrics, "layers_total": 4}, None)

    folder.mkdir()
    records = [record(method, seed) for method in ("spt", "lora") for seed in range(3)]
    comparison = Comparison(records, [column.key for column in COLUMNS])
    write_results(folder, "Methods", comparison, COLUMNS, "python -m benchmarks methods FILE")
    return folder / PAGE


def _tuning(folder: Path, home: Path) -> Path:
    """Make the page of a study of two objectives, from values that never were."""
    folder.mkdir()
    config = TuneConfig.model_validate(
        {
            "name": "tuning",
            "trials": 6,
            "objectives": ["dev_metric", "tunable_parameters"],
            "asha": None,
            "run": tiny_tree(home),
            "searchSpace": {
                "prompt.length": {"_type": "randint", "_value": [1, 20]},
                "training.learning_rate": {"_type": "loguniform", "_value": [0.001, 0.1]},
            },
        }
    )
    study = open_study(config.name, ["maximize", "minimize"], "random", 0, None)
    for _ in range(config.trials):
        trial = study.ask(config.distributions)
        length = trial.params["prompt.length"]
        study.tell(trial, [0.7 + length / 100, 100.0 * length])
    write_study_report(folder / PAGE, study, config, best_trials(study))
    return folder / PAGE
