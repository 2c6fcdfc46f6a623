"""The task's metric from end to end: dev selects, trials report, Tune optimises, comparisons rank by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from typer.testing import CliRunner

from experiments import trial
from experiments.cli import app
from experiments.comparing import compare
from experiments.comparing.compare import COLUMNS
from experiments.comparing.grid import OnDone, RunOutcome, outcome_of, run_config
from experiments.comparing.groups import Comparison
from experiments.config import RunConfig, load_config
from experiments.nni_trials.reporter import TrialReporter
from experiments.pipeline import run
from experiments.run.results import RunMetrics
from experiments.run.training import load_workbench
from experiments.tuning import trial as tune_trial
from experiments.tuning.config import OBJECTIVES, TuneConfig
from experiments.tuning.trial import DEV, EPOCH, FINAL, METRICS, Reporter
from spt.evaluation import probabilities
from spt.metrics import TITLES, Metric
from spt.serving.classifier import PromptClassifier
from tests.support.comparisons import read_records
from tests.support.tiny import tiny_tree

# of one label a text and two classes; the others go the same way
NAMES: tuple[Metric, ...] = ("accuracy", "f1", "accuracy_and_f1", "matthews")


def expected(metric: str, labels: Any, answers: Any) -> float:
    """The metric by scikit-learn alone."""
    accuracy, f1 = accuracy_score(labels, answers), f1_score(labels, answers)
    by_name = {"accuracy": accuracy, "f1": f1, "accuracy_and_f1": (accuracy + f1) / 2}
    return float(by_name.get(metric, matthews_corrcoef(labels, answers)))


@dataclass(frozen=True)
class Trial:
    """A whole run as an NNI trial: its folder, its metrics, and what NNI was told."""

    config: Path
    folder: Path
    metrics: RunMetrics
    curve: list[float]
    final: dict[str, Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("metrics")


def config_of(home: Path, metric: str, **search: Any) -> Path:
    """A run of few steps, which learns so little that the metrics differ."""
    task = {"name": "custom", "metric": metric, "label_words": ["terrible", "great"]}
    training = {"epochs": 2, "batch_size": 32, "learning_rate": 0.005}
    path = home / f"{metric}.yml"
    tree = tiny_tree(home, name=metric, task=task, search={"k": 1, **search}, training=training)
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=NAMES)
def ran(request: pytest.FixtureRequest, home: Path) -> Trial:
    config, curve, final = config_of(home, request.param), [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrialReporter, "report_epoch", lambda *epoch: curve.append(epoch[-1]))
        patch.setattr(TrialReporter, "report_result", lambda _, result: final.append(result))
        assert trial.main(["--config", str(config), "--runs", str(home / "runs")]) == 0
    folder = home / "runs" / request.param
    return Trial(config, folder, RunMetrics.read(folder / "metrics.json"), curve, final[0])


def test_the_metric_of_both_splits_is_what_scikit_learn_says(ran: Trial) -> None:
    loaded = PromptClassifier.from_pretrained(ran.folder / "model")
    workbench = load_workbench(load_config(ran.config))
    for split, score in (("dev", ran.metrics.dev_metric), ("test", ran.metrics.test_metric)):
        chances, labels = probabilities(
            loaded.model, workbench.batches(split, loaded.model).loader, loaded.spec.task
        )
        assert score == pytest.approx(expected(ran.metrics.metric, labels, chances.argmax(-1)))
    if ran.metrics.metric != "accuracy":
        assert ran.metrics.dev_metric != ran.metrics.dev_accuracy


def test_training_selects_by_it(ran: Trial) -> None:
    training = json.loads((ran.folder / "train" / "train.json").read_text(encoding="utf-8"))
    assert training["dev"] == pytest.approx(ran.metrics.dev_metric)


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("metric", NAMES)
def test_a_search_among_candidates_selects_by_it(metric: str, home: Path, tmp_path: Path) -> None:
    metrics = run(load_config(config_of(home, metric, strategy="random", evaluations=2)), tmp_path / "run")
    lines = (tmp_path / "run" / "search" / "candidates.jsonl").read_text(encoding="utf-8").splitlines()
    tried = [json.loads(line) for line in lines]
    best = max(candidate["dev"] for candidate in tried)
    assert best == pytest.approx(metrics.dev_metric)
    assert list(metrics.layers) in [candidate["layers"] for candidate in tried if candidate["dev"] == best]


def test_nni_gets_it_in_the_curve_and_at_the_end(ran: Trial) -> None:
    searched, trained = (
        [json.loads(line)["dev"] for line in (ran.folder / stage / "history.jsonl").open(encoding="utf-8")]
        for stage in ("search", "train")
    )
    assert ran.curve == searched + trained
    assert len(searched) == len(trained) == 2
    assert max(trained) == pytest.approx(ran.metrics.dev_metric)
    assert ran.final["default"] == ran.metrics.dev_metric
    assert ran.final["test_metric"] == ran.metrics.test_metric


def test_tune_optimises_it_and_stops_trials_by_it(ran: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    space = {"training.learning_rate": {"_type": "choice", "_value": [0.005]}}
    run = yaml.safe_load(ran.config.read_text(encoding="utf-8"))
    study = TuneConfig.model_validate({"run": run, "searchSpace": space})
    assert study.objectives == ("dev_metric",) and OBJECTIVES["dev_metric"] == "maximize"

    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(tune_trial.tune, "report", lambda report, checkpoint: reports.append(report))  # noqa: ARG005
    monkeypatch.setattr(tune_trial.tune.Checkpoint, "from_directory", lambda _: None)
    here = SimpleNamespace(get_node_id=lambda: "here")
    monkeypatch.setattr(tune_trial.ray, "get_runtime_context", lambda: here)
    reporter = Reporter(ran.folder, resumed_at=0)
    chosen = study.trial_run({"training.learning_rate": 0.005})
    reporter.finish(tune_trial.run_trial(chosen, ran.folder, reporter.on_epoch, None))
    assert reports[-1][FINAL] and reports[-1][EPOCH] == 2
    assert reports[-1][METRICS][study.objectives[0]] == ran.metrics.dev_metric
    reporter.on_epoch("train", 0, 0.25)
    assert reports[-1][DEV] == 0.25


def run_here(
    configs: Mapping[str, RunConfig], folder: Path, _workers: int, _on_done: OnDone
) -> dict[str, RunOutcome]:
    """The grid in this process, as starting others takes longer."""
    return {name: outcome_of(partial(run_config, config), folder / name) for name, config in configs.items()}


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("metric", NAMES)
def test_a_comparison_ranks_and_names_it(metric: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "run_grid", run_here)
    config = config_of(home, metric)
    experiment = {
        "searchSpace": {
            "search.manual_layers": {"_type": "choice", "_value": ["input", "all"]},
            "seed": {"_type": "choice", "_value": [0, 1]},
        },
        "trialCommand": f"python3 -m experiments.trial --config {config}",
    }
    path = home / f"compare_{metric}.yml"
    path.write_text(yaml.safe_dump(experiment, sort_keys=False), encoding="utf-8")
    folder = home / f"compared_{metric}"
    arguments = ["compare", str(path), "search.strategy=manual", "--folder", str(folder)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert content["score"] == "test_metric"
    runs = [RunMetrics.read(file) for file in folder.glob("*/metrics.json")]
    assert {record["metrics"]["test_metric"] for record in content["records"]} == {
        run.test_metric for run in runs
    }
    compared = Comparison(read_records(folder / "results.json"), [column.key for column in COLUMNS])
    reference, other = ([run.test_metric for run in runs if len(run.layers) == count] for count in (1, 4))
    (test,) = compared.tests
    assert test.difference == pytest.approx((sum(other) - sum(reference)) / 2)
    assert f"test {TITLES[compared.metric_on('custom')]}" in (folder / "report.html").read_text(
        encoding="utf-8"
    )
