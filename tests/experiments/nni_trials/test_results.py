"""What an experiment's trials leave above their folders, without NNI."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.config import RunConfig, checked, load_config
from experiments.nni_trials.results import TrialNote, write_experiment_results
from experiments.pipeline import run
from spt.errors import InputError
from tests.support.metrics import run_metrics
from tests.support.runs import tiny_config

DATA = {"name": "custom", "label_words": ["no", "yes"]}
COST = {"metric": "accuracy", "task": "custom"}


def add(folder: Path, number: int, parameters: dict[str, Any], config: RunConfig | None = None) -> Path:
    """A trial that has a configuration, and has not ended."""
    trial = folder / f"T{number}"
    trial.mkdir(parents=True)
    config = config or checked({"task": DATA, "data": {"train": "x.csv"}}, "the test")
    (trial / "config.yml").write_text(yaml.safe_dump({"run": config.model_dump(mode="json")}), "utf-8")
    TrialNote(number, parameters).write(trial)
    return trial


def done(folder: Path, number: int, parameters: dict[str, Any], **metrics: Any) -> Path:
    trial = add(folder, number, parameters, metrics.pop("config", None))
    run_metrics(**{**COST, **metrics}).write(trial / "metrics.json")
    return trial


def results(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "results.json").read_text(encoding="utf-8")))


def test_trials_are_compared_and_the_best_is_written_and_both_are_said(tmp_path: Path) -> None:
    done(tmp_path, 1, {"search.consistency": 0.1234567, "search.k": 2}, dev_metric=0.9, layers=(3, 5))
    done(tmp_path, 0, {"search.consistency": 0.7654321, "search.k": 2}, dev_metric=0.8)
    done(tmp_path, 2, {"search.consistency": 0.5, "search.k": 1}, dev_metric=0.9, layers=(1,))
    failed = add(tmp_path, 3, {"search.consistency": 2.0, "search.k": 1})
    (failed / "failure.txt").write_text("The loss is nan.\n", encoding="utf-8")
    (tmp_path / "running").mkdir()
    said = write_experiment_results(tmp_path, "E", "the command")

    records = results(tmp_path)["records"]
    assert [record["group"] for record in records] == [
        "consistency=0.7654, k=2",
        "consistency=0.1235, k=2",
        "consistency=0.5, k=1",
        "consistency=2.0, k=1",
    ]
    assert records[0]["values"] == {"search.consistency": 0.7654321, "search.k": 2}
    assert [record["failure"] for record in records] == [None, None, None, "The loss is nan."]
    assert results(tmp_path)["command"] == "the command"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "NNI experiment E" in page and "The loss is nan." in page

    # of two equals the earlier
    best = load_config(tmp_path / "best.yml")
    assert (best.name, best.search.strategy, best.search.manual_layers) == ("E-best", "manual", (3, 5))
    head = (tmp_path / "best.yml").read_text(encoding="utf-8").splitlines()
    assert head[:2] == [
        "# trial 1 (T1) of NNI's experiment E: dev accuracy 90.0 %, test accuracy -2.0 %",
        "# layers 3, 5 of 0 to 5, by spt_darts",
    ]
    assert said.splitlines() == [
        f"report of 4 trials: {tmp_path / 'report.html'}, with results.json beside it",
        f"best so far, trial 1, dev accuracy 90.0 %, test accuracy -2.0 %: spt run {tmp_path / 'best.yml'}",
    ]


def test_the_command_that_runs_the_best_again_can_be_pasted(tmp_path: Path) -> None:
    done(tmp_path / "a b's", 0, {"search.k": 2})
    said = write_experiment_results(tmp_path / "a b's", "E", "")
    assert shlex.split(said.rpartition(": ")[2]) == ["spt", "run", str(tmp_path / "a b's" / "best.yml")]


def test_numbers_that_short_would_be_alike_are_written_out(tmp_path: Path) -> None:
    for number, rate in enumerate((0.12345001, 0.12345002)):
        done(tmp_path, number, {"training.learning_rate": rate})
    write_experiment_results(tmp_path, "E", "")
    assert [record["group"] for record in results(tmp_path)["records"]] == ["0.12345001", "0.12345002"]


def test_numbers_that_short_would_be_alike_are_written_out_whatever_the_seeds(tmp_path: Path) -> None:
    for number, rate in enumerate((0.12345001, 0.12345002)):
        config = checked({"seed": number}, "the test")
        done(tmp_path, number, {"training.learning_rate": rate, "seed": number}, config=config)
    write_experiment_results(tmp_path, "E", "")
    assert [record["group"] for record in results(tmp_path)["records"]] == ["0.12345001", "0.12345002"]


def test_what_a_tuner_tries_twice_counts_once_and_by_the_trial_that_is_done(tmp_path: Path) -> None:
    add(tmp_path, 0, {"search.k": 1})
    done(tmp_path, 1, {"search.k": 1}, dev_metric=0.5)
    done(tmp_path, 2, {"search.k": 1}, dev_metric=0.6)
    write_experiment_results(tmp_path, "E", "")
    (record,) = results(tmp_path)["records"]
    assert record["metrics"]["dev_metric"] == 0.5


def test_without_a_result_nothing_is_written(tmp_path: Path) -> None:
    add(tmp_path, 0, {"search.k": 1})
    done(tmp_path, 1, {"search.k": 2}, dev_metric=float("nan"))
    assert (
        write_experiment_results(tmp_path, "E", "") == "No trial of the experiment has given results so far."
    )
    assert not (tmp_path / "report.html").exists() and not (tmp_path / "best.yml").exists()


def test_tasks_that_cannot_be_ranked_have_a_report_and_no_best(tmp_path: Path) -> None:
    done(tmp_path, 0, {"task": "custom"})
    write_experiment_results(tmp_path, "E", "")
    assert (tmp_path / "best.yml").exists()
    done(tmp_path, 1, {"task": "trec"}, task="trec", config=checked({"task": "trec"}, "the test"))
    assert "different tasks cannot be ranked" in write_experiment_results(tmp_path, "E", "")
    assert not (tmp_path / "best.yml").exists()
    assert [row["condition"] for row in results(tmp_path)["rows"]] == ["custom", "trec"]


def test_metrics_that_cannot_be_ranked_are_refused(tmp_path: Path) -> None:
    done(tmp_path, 0, {"task.metric": "accuracy"})
    other = checked({"task": {**DATA, "metric": "f1"}, "data": {"train": "x.csv"}}, "the test")
    done(tmp_path, 1, {"task.metric": "f1"}, config=other)
    with pytest.raises(InputError, match="accuracy, f1, which cannot be ranked"):
        write_experiment_results(tmp_path, "E", "")


@pytest.mark.slow
@pytest.mark.parametrize("inherit", [False, True])
def test_the_best_config_gives_the_trials_numbers_again(inherit: bool, tmp_path: Path) -> None:
    trial = tmp_path / "E" / "T"
    search = {"epochs": 1, "inherit": inherit, "kinds": ["free", "scaling"]}
    short = {"search": search, "training": {"epochs": 1}, "baselines": False}
    found = run(tiny_config(tmp_path, **short), trial)
    TrialNote(0, {"search.k": 2}).write(trial)
    write_experiment_results(tmp_path / "E", "E", "")
    config = load_config(tmp_path / "E" / "best.yml")
    assert config.search.strategy == ("spt_darts" if inherit else "manual")
    again = run(config, tmp_path / "again")
    same = ("layers", "kinds", "dev_metric", "test_metric", "train_flops")
    assert [getattr(again, name) for name in same] == [getattr(found, name) for name in same]
