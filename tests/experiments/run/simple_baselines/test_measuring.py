"""Baselines beside a run: what they answer, that they are right, and where they are shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from experiments.config import RunConfig
from experiments.pipeline import run
from experiments.run.results import RunMetrics
from experiments.run.simple_baselines import measuring
from experiments.run.simple_baselines.features import LEVELS, level_features, token_texts
from experiments.run.simple_baselines.measuring import (
    MeasuredBaseline,
    fitted_and_scored,
    measure_baselines,
    score_of,
)
from experiments.run.simple_baselines.scores import BaselineScore, baseline_lines
from experiments.run.training import load_workbench
from spt.answers.score_intervals import JackknifeScores, jackknife_metric, metric_interval
from spt.data.encoded.examples import Examples
from spt.metrics import Metric
from spt.prefix_cache import PrefixCache
from spt.tasks import get_task
from spt.workbench import Workbench
from tests.support.runs import tiny_config

MANUAL = {"strategy": "manual", "manual_layers": [1]}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    return tiny_config(tmp_path, search=MANUAL, cache="auto")


def test_they_are_measured_shown_and_found_again(config: RunConfig, tmp_path: Path) -> None:
    metrics = run(config, tmp_path / "run")
    assert metrics.baselines is not None
    assert metrics.baselines.keys() == {"majority", "tfidf", "linear_probe"}
    # one word decides the class of the tiny data
    assert metrics.baselines["tfidf"].test_metric > 0.9 > metrics.baselines["majority"].test_metric
    assert RunMetrics.read(tmp_path / "run" / "metrics.json").baselines == metrics.baselines
    assert "without prompts: majority class" in (tmp_path / "run" / "report.html").read_text()
    for score in metrics.baselines.values():
        assert score.test_interval is not None and score.gain_interval is not None
        low, high = score.gain_interval
        assert low <= metrics.test_metric - score.test_metric <= high
    (kept,) = (tmp_path / "cache" / "baselines").iterdir()
    content = json.loads(kept.read_text())
    content["majority"]["test"]["score"] = 0.123
    kept.write_text(json.dumps(content))
    again = run(config, tmp_path / "again")
    assert again.baselines is not None
    assert again.baselines["majority"].test_metric == 0.123


def own_scores(bench: Workbench) -> dict[str, MeasuredBaseline]:
    """Measure without what is kept."""
    return measure_baselines(replace(bench, cache=PrefixCache("off")))


def test_runs_with_and_without_folds_do_not_share_scores(config: RunConfig) -> None:
    bench = load_workbench(config)
    with_folds = replace(bench, folds=2)
    assert measure_baselines(bench) == own_scores(bench) != own_scores(with_folds)
    assert measure_baselines(with_folds) == own_scores(with_folds)


def test_seeds_that_draw_other_rows_do_not_share_scores(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "MOST", 5)
    benches = [replace(load_workbench(config), seed=seed) for seed in range(3)]
    own = [own_scores(bench) for bench in benches]
    assert own[0] != own[1]
    assert [measure_baselines(bench) for bench in benches] == own


def test_rows_of_a_single_class_are_answered_by_it(config: RunConfig) -> None:
    bench = load_workbench(config)
    train = bench.examples["train"]
    single = train.take(np.flatnonzero(train.labels == 1).tolist())
    scores = own_scores(replace(bench, examples={**bench.examples, "train": single}))
    share = (bench.examples["test"].labels == 1).mean()
    assert [score.test.score for score in scores.values()] == pytest.approx([share] * 3)


def test_rows_whose_windows_are_others_do_not_share_scores(config: RunConfig) -> None:
    bench = load_workbench(config)
    test = bench.examples["test"]
    halves = [
        replace(bench, examples={**bench.examples, "test": replace(test, rows=rows)})
        for rows in (np.arange(len(test)) // 2, (np.arange(len(test)) + 1) // 2)
    ]
    assert [measure_baselines(each) for each in halves] == [own_scores(each) for each in halves]


def test_seeds_with_the_same_rows_share_scores(config: RunConfig, tmp_path: Path) -> None:
    bench = load_workbench(config)
    measure_baselines(bench)
    measure_baselines(replace(bench, seed=bench.seed + 1))
    assert len(list((tmp_path / "cache" / "baselines").iterdir())) == 1


def test_a_damaged_file_of_scores_is_made_again(config: RunConfig, tmp_path: Path) -> None:
    bench = load_workbench(config)
    first = measure_baselines(bench)
    (kept,) = (tmp_path / "cache" / "baselines").iterdir()
    kept.write_text("{")
    assert measure_baselines(bench) == first


def test_nothing_is_kept_where_nothing_is_cached(config: RunConfig, tmp_path: Path) -> None:
    bench = load_workbench(config.model_copy(update={"cache": "off"}))
    assert measure_baselines(bench)
    assert not (tmp_path / "cache" / "baselines").exists()


def test_they_can_be_left_out(config: RunConfig, tmp_path: Path) -> None:
    metrics = run(config.model_copy(update={"baselines": False}), tmp_path / "run")
    assert metrics.baselines is None


def test_the_majority_is_the_share_of_the_largest_class(config: RunConfig) -> None:
    bench = load_workbench(config)
    labels = {split: part.labels for split, part in bench.examples.items()}
    largest = np.bincount(labels["train"]).argmax()
    score = measure_baselines(bench)["majority"]
    assert score.test.score == pytest.approx((labels["test"] == largest).mean())


def test_the_last_level_is_the_mean_of_what_the_backbone_returns(config: RunConfig) -> None:
    bench = load_workbench(config)
    examples = bench.examples["dev"]
    features = level_features(bench, examples)
    levels = min(LEVELS, bench.num_layers + 1)
    assert features.shape == (len(examples), levels * bench.backbone.hidden_size)
    row = examples[3]
    with torch.no_grad():
        states = bench.backbone.model(input_ids=torch.tensor([row["input_ids"]])).last_hidden_state
    expected = states[0].mean(0).numpy()
    assert features[3, -len(expected) :] == pytest.approx(expected, abs=1e-5)


def test_tokens_are_written_as_words(config: RunConfig) -> None:
    examples = load_workbench(config).examples["dev"]
    assert token_texts(examples)[2] == " ".join(map(str, examples[2]["input_ids"]))


def test_no_more_rows_are_fitted_than_a_few_thousand(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "MOST", 10)
    bench = load_workbench(config)
    used = fitted_and_scored(bench)
    assert len(used["train"]) == 10
    assert len(used["test"]) == len(bench.examples["test"])
    other = fitted_and_scored(replace(bench, seed=bench.seed + 1))
    assert used["train"].rows.tolist() != other["train"].rows.tolist()


def test_folds_leave_the_baselines_without_a_dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    config = tiny_config(tmp_path, search=MANUAL, data={"folds": 2})
    bench = load_workbench(config)
    scores = measure_baselines(bench)
    assert {score.dev for score in scores.values()} == {None}


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "matthews"])
def test_a_baselines_interval_is_made_as_a_runs_and_a_gains_may_be_beyond_one(metric: Metric) -> None:
    labels, rows = np.arange(20) % 2, np.arange(20)
    task = get_task("custom", labels=["a", "b"]).model_copy(update={"metric": metric})
    bench = cast(Workbench, SimpleNamespace(spec=SimpleNamespace(task=task, classes=2)))
    part = Examples(input_ids=np.ones(20, np.int32), lengths=np.ones(20, np.int64), labels=labels, rows=rows)
    examples = dict.fromkeys(("train", "dev", "test"), part)
    # what is read tells the classes of all rows but one
    features = dict.fromkeys(examples, np.where(rows == 3, 0, labels)[:, None])
    baseline = score_of(bench, examples, features, LogisticRegression(C=100))
    assert baseline.test_interval == metric_interval(task, baseline.test, 20)
    low, high = baseline.test_interval or (0, 0)
    assert low < baseline.test.score < high <= 1
    # right in one row alone
    worst = jackknife_metric(task, labels, np.eye(2)[np.where(rows == 0, labels, 1 - labels)], None)
    low, _ = baseline.beside(worst).gain_interval or (0, 0)
    assert low < -1


def test_equal_answers_are_no_sure_difference_of_nothing() -> None:
    right = JackknifeScores(1.0, (1.0,) * 8)
    beside = MeasuredBaseline(None, right, (0.7, 1.0)).beside(right)
    assert beside.gain_interval is None
    said = baseline_lines({"tfidf": beside}, right.score)["worth it?"]
    assert said == "level with the best of them, TF-IDF and logistic regression"


def test_the_gain_over_the_best_is_told() -> None:
    scores = {"majority": BaselineScore(0.3, 0.4), "tfidf": BaselineScore(None, 0.8)}
    lines = baseline_lines(scores, 0.9)
    assert lines["worth it?"] == "10.0 points above the best of them, TF-IDF and logistic regression"
    assert "below" in baseline_lines(scores, 0.75)["worth it?"]
    assert baseline_lines(scores, 0.8)["worth it?"].startswith("level with the best of them, TF-IDF")
    sure = {"tfidf": BaselineScore(None, 0.8, (0.7, 0.9), (0.04, 0.16))}
    assert baseline_lines(sure, 0.9)["worth it?"].endswith("regression (95 % interval +4.0 to +16.0)")
