"""Runs judged by folds: means, honest held-out answers, all rows at the end, and the same after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from experiments import pipeline
from experiments.pipeline import run
from experiments.run import folds
from experiments.run.folds import judge, train_candidate
from experiments.run.results import RunMetrics
from experiments.run.summary import summary
from experiments.run.training import load_workbench, train_layers
from spt.answers.calibration import fit_temperature
from spt.architecture import PromptLayers
from spt.errors import InputError, TrialFailed
from spt.evaluation import probabilities
from spt.metrics import score
from spt.serving.classifier import PromptClassifier
from tests.support.runs import tiny_config
from tests.support.searches import TIMES, candidates
from tests.support.tiny import make_label_sets

pytestmark = pytest.mark.usefixtures("no_report")

DATA: dict[str, Any] = {"train_size": 40, "dev_size": 20, "folds": 3}
TRAINING: dict[str, Any] = {"epochs": 2, "batch_size": 16}
SEARCHES: dict[str, dict[str, Any]] = {
    "manual": {"strategy": "manual", "manual_layers": [1]},
    "random": {"strategy": "random", "k": 1, "evaluations": 2},
    "spt_darts": {"strategy": "spt_darts", "k": 1, "epochs": 1, "warmup_epochs": 0},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folds")


def config(home: Path, strategy: str = "manual", **search: Any) -> Any:
    return tiny_config(home, search={**SEARCHES[strategy], **search}, data=DATA, training=TRAINING)


def timeless(metrics: RunMetrics) -> dict[str, Any]:
    return {name: value for name, value in metrics.as_json().items() if name not in TIMES}


@pytest.mark.parametrize("strategy", SEARCHES)
def test_layers_are_judged_by_the_mean_of_the_folds_and_trained_on_all_rows(
    strategy: str, home: Path
) -> None:
    folder = home / strategy
    metrics = run(config(home, strategy), folder)
    assert metrics.fold_metrics is not None and len(metrics.fold_metrics) == 3
    assert metrics.dev_metric == pytest.approx(fmean(metrics.fold_metrics))
    assert (metrics.train_size, metrics.dev_size, metrics.test_size) == (60, 60, 20)
    charges = {entry["what"]: entry for entry in json.loads((folder / "ledger.json").read_text())["entries"]}
    layers = PromptLayers.load(folder / "architecture.json")
    judged_as = f"candidate {layers.name}" if strategy == "random" else "folds"
    assert {judged_as, "retraining"} <= charges.keys()
    assert metrics.total_flops == sum(entry["flops"] for entry in charges.values())
    # 40 rows a fold in batches of 16, twice, each of three times
    assert charges[judged_as]["steps"] == 3 * 2 * 3
    training = json.loads((folder / "train" / "train.json").read_text())
    assert training["dev"] == pytest.approx(metrics.dev_metric)
    # all 60 rows for as long as was best for the folds
    assert charges["retraining"]["steps"] == 4 * training["epochs"]
    assert metrics.total_flops == metrics.search_flops + metrics.train_flops
    shown = summary(folder)["dev accuracy"]
    assert "the mean of 3 folds" in shown


def test_candidates_are_compared_by_the_mean_of_the_folds(home: Path) -> None:
    run(config(home, "random"), home / "random")
    bench = load_workbench(config(home, "random"))
    tried = candidates(home / "random")
    assert len(tried) == 2
    for candidate in tried:
        layers = PromptLayers.of(candidate["layers"], bench.num_layers)
        judged = judge(bench, layers, home / "random" / "search" / "candidates" / layers.name)
        assert candidate["dev"] == pytest.approx(fmean(fold.result.dev for fold in judged.folds))
        assert candidate["flops"] == sum(fold.result.flops for fold in judged.folds)


def test_a_fold_is_answered_by_a_model_that_never_saw_it(home: Path, tmp_path: Path) -> None:
    bench = load_workbench(config(home))
    layers = PromptLayers.of([1], bench.num_layers)
    judged = judge(bench, layers, tmp_path)
    held_out: list[bytes] = []
    for fold, answers in zip(bench.fold_workbenches, judged.folds, strict=True):
        texts = {
            split: {tuple(example["input_ids"]) for example in fold.examples[split]}
            for split in ("train", "dev")
        }
        assert not texts["train"] & texts["dev"]
        held_out += [tuple(example["input_ids"]) for example in fold.examples["dev"]]
        model, result = train_layers(fold, layers, tmp_path / f"again_{len(held_out)}")
        chances, labels = probabilities(model, fold.batches("dev", model).loader, fold.spec.task)
        np.testing.assert_array_equal(answers.probabilities, chances)
        accuracy = score("accuracy", labels, chances.argmax(-1))["metric"]
        # scores of a training go through 32 bits
        assert result.dev == answers.result.dev == pytest.approx(accuracy, rel=1e-6)
        assert result.best_epoch in (1, 2)
    assert sorted(held_out) == sorted(tuple(example["input_ids"]) for example in bench.pool)


def test_the_temperature_is_fitted_on_the_held_out_answers(home: Path) -> None:
    metrics = run(config(home), home / "manual")
    bench = load_workbench(config(home))
    judged = judge(bench, PromptLayers.of([1], 4), home / "manual" / "search" / "candidates" / "1")
    chances = np.concatenate([fold.probabilities for fold in judged.folds])
    labels = np.concatenate([fold.labels for fold in judged.folds])
    assert metrics.answers is not None
    assert metrics.answers.temperature == fit_temperature(chances, labels)


class Killed(BaseException):
    """What a kill looks like from inside."""


@pytest.mark.parametrize("moment", ["in a fold", "between folds", "before the retraining", "after it"])
def test_killed_it_ends_with_the_same_metrics(
    moment: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(config(home), home / "manual")
    calls: list[int] = []

    def kill_at(number: int, real: Any) -> Any:
        def called(*arguments: Any, **options: Any) -> Any:
            calls.append(1)
            if len(calls) == number:
                raise Killed
            return real(*arguments, **options)

        return called

    owner, name, number = {
        "in a fold": (folds, "finite_probabilities", 2),
        "between folds": (folds, "train_layers", 3),
        "before the retraining": (pipeline, "train_layers", 1),
        "after it": (pipeline.PromptClassifier, "save_pretrained", 1),
    }[moment]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, kill_at(number, getattr(owner, name)))
        with pytest.raises(Killed):
            run(config(home), tmp_path / "run")
    assert timeless(run(config(home), tmp_path / "run")) == timeless(whole)


def test_listeners_hear_the_mean_after_each_fold(home: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, float]] = []
    metrics = run(config(home), tmp_path / "run", lambda *now: told.append(now))
    assert [(stage, fold) for stage, fold, _ in told] == [("train", 0), ("train", 1), ("train", 2)]
    assert told[-1][2] == pytest.approx(metrics.dev_metric)


def test_a_fold_that_fails_fails_the_candidate_with_what_all_folds_took(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = load_workbench(config(home))
    real, calls = folds.train_layers, []

    def train(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            error = TrialFailed("the loss is nan")
            error.flops = 7
            raise error
        return real(*arguments)

    monkeypatch.setattr(folds, "train_layers", train)
    with pytest.raises(TrialFailed) as failed:
        train_candidate(bench, tmp_path, None, PromptLayers.of([1], 4))
    (first,) = tmp_path.rglob("answers.safetensors")
    assert first.parent.name == "fold_0"
    assert failed.value.flops > 7


def test_a_budget_pays_all_folds_and_the_training_on_all_rows(home: Path, tmp_path: Path) -> None:
    spent = run(config(home), home / "manual").total_flops
    with pytest.raises(
        InputError, match=r"budget_flops is .*\(with data.folds one a fold, and one on all rows"
    ):
        run(config(home, budget_flops=spent * 0.8), tmp_path / "poor")
    metrics = run(config(home, "random", budget_flops=spent * 1.6), tmp_path / "rich")
    assert metrics.evaluations == 1
    assert metrics.total_flops <= spent * 1.6


def test_weights_that_have_seen_the_held_out_rows_are_not_inherited(home: Path) -> None:
    with pytest.raises(InputError, match="inherited weights have seen the rows that each fold holds out"):
        config(home, "spt_darts", inherit=True)


def test_rows_that_cannot_be_dealt_are_refused_before_anything_is_written(home: Path, tmp_path: Path) -> None:
    few = tiny_config(home, search=SEARCHES["manual"], data={"train_size": 4, "dev_size": 2, "folds": 50})
    with pytest.raises(InputError, match=r"Set data\.folds to 6 or less"):
        run(few, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_labels_a_text_are_judged_by_folds_and_read_in_windows(home: Path, tmp_path: Path) -> None:
    make_label_sets(tmp_path / "sets.jsonl")
    sections = {
        "task": {"multi_label": True, "label_words": None},
        "data": {**DATA, "train": str(tmp_path / "sets.jsonl"), "max_length": 6, "windows": True},
        "search": SEARCHES["manual"],
    }
    metrics = run(tiny_config(home, training=TRAINING, **sections), tmp_path / "run")
    assert metrics.fold_metrics is not None
    assert metrics.dev_metric == pytest.approx(fmean(metrics.fold_metrics))
    assert (metrics.metric, metrics.train_size) == ("macro_f1", 60)
    assert metrics.answers is not None and metrics.answers.temperature != 1
    rule = PromptClassifier.from_pretrained(tmp_path / "run" / "model").spec.answers
    assert rule.thresholds is not None
