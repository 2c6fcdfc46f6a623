"""Prompt Tuning beside the searches: a rate that another seed chose, then the reported seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record
from benchmarks.layers import prompt_tuning
from benchmarks.layers.prompt_tuning import (
    KEPT,
    RATES,
    SWEEP_SEED,
    config_of,
    measure_prompt_tuning,
    train_prompt_tuning,
)
from experiments.comparing.grid import RunOutcome
from experiments.config import RunConfig
from strategies.options import ManualOptions
from tests.support.tiny import tiny_tree
from tests.support.truths import write_truth

DEV = dict(zip(RATES, (0.6, 0.8, 0.8), strict=True))


def trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: tuple[float, ...] = ()
) -> tuple[dict[tuple[str, int], RunOutcome], dict[str, RunConfig]]:
    """What is returned, and the configurations that were trained, by folder."""
    seen: dict[str, RunConfig] = {}

    def outcome(config: RunConfig) -> RunOutcome:
        rate = config.training.learning_rate
        return RunOutcome(failure="no") if rate in failing else RunOutcome({"dev_metric": DEV[rate]})

    def run_trainings(configs: dict[str, RunConfig], *_: object) -> dict[str, RunOutcome]:
        seen.update(configs)
        return {name: outcome(config) for name, config in configs.items()}

    monkeypatch.setattr(prompt_tuning, "run_trainings", run_trainings)
    runs: dict[str, dict[str, Any]] = {"tiny": {**tiny_tree(tmp_path), "search": {"k": 1}}}
    return train_prompt_tuning(runs, [0, 1], tmp_path, 1, None), seen


def test_the_best_rate_of_another_seed_is_trained_with_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes, seen = trained(tmp_path, monkeypatch)
    assert set(outcomes) == {("tiny", 0), ("tiny", 1)}
    tried = {(config.seed, config.training.learning_rate) for config in seen.values()}
    # the lower one of two equals
    assert tried == {*((SWEEP_SEED, rate) for rate in RATES), (0, 0.05), (1, 0.05)}
    assert "tiny/prompt_tuning/rate0.05-seed1" in seen


def test_rates_that_fail_are_not_chosen_and_without_any_there_is_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, seen = trained(tmp_path, monkeypatch, failing=RATES[1:])
    assert "tiny/prompt_tuning/rate0.01-seed0" in seen
    assert trained(tmp_path, monkeypatch, failing=RATES)[0] == {}


def test_it_is_a_free_prompt_at_the_input_with_one_rate(tmp_path: Path) -> None:
    config = config_of(tiny_tree(tmp_path), 3, 0.2, "tiny")
    assert config.search == ManualOptions(manual_layers="input")
    assert (config.prompt.generator, config.prompt.init, config.seed) == ("free", "vocabulary", 3)
    assert (config.training.learning_rate, config.training.prompt_rate) == (0.2, None)


def test_what_was_trained_is_written_and_what_was_not_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {**dict.fromkeys(KEPT, 0.5), "config": "x"}
    outcomes = {("tiny", 0): RunOutcome(figures), ("tiny", 1): RunOutcome(failure="no")}
    monkeypatch.setattr(prompt_tuning, "train_prompt_tuning", lambda *_: outcomes)
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    overrides = {"tiny.data.train": "/far/data.csv"}
    tables = {"tiny": write_truth(tmp_path, k=1)}
    assert measure_prompt_tuning(tmp_path, overrides, tables, result="mine") == 1
    written = json.loads((tmp_path / "mine.json").read_text("utf-8"))
    assert written["records"] == [{"task": "tiny", "seed": 0, **dict.fromkeys(KEPT, 0.5)}]
    assert (
        written["command"]
        == "python -m benchmarks prompt-tuning --on=tiny --result mine tiny.data.train=data.csv"
    )
    assert (written["rates"], written["sweep_seed"]) == (list(RATES), SWEEP_SEED)
