"""Runs by hand, of baselines, of a verbalizer, with token offsets, and over a cached prefix."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from experiments.keys import leaves
from experiments.pipeline import run, search
from experiments.without_search import run_without_search
from spt.serving.classifier import PromptClassifier
from tests.support.quick_runs import FILES_OF_A_RUN, files_of, quick_config, timeless
from tests.support.runs import tiny_config


def test_a_search_that_has_tried_every_layer_ends_without_a_word_of_nnis(home: Path, tmp_path: Path) -> None:
    said: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("nni")
    logger.addHandler(listener)
    try:
        options = {"strategy": "random", "k": 1, "evaluations": 99}
        found = search(quick_config(home, search=options, training={"epochs": 1}), tmp_path / "run")
    finally:
        logger.removeHandler(listener)
    assert found.evaluations == 4
    assert not any("Sampling failed" in line for line in said)


def test_the_manual_strategy_trains_the_layers_given(home: Path, tmp_path: Path) -> None:
    manual = {"strategy": "manual", "manual_layers": [3, 1]}
    metrics = run(quick_config(home, search=manual), tmp_path / "run")
    assert (metrics.strategy, metrics.layers, metrics.gates) == ("manual", (1, 3), None)
    assert (metrics.search_seconds, metrics.search_steps) == (0, 0)
    assert metrics.total_seconds == metrics.train_seconds > 0
    assert metrics.total_flops == metrics.train_flops > 0
    assert files_of(tmp_path / "run") == FILES_OF_A_RUN - {
        "figures/gates.png",
        "figures/gates.svg",
        "search/gates.jsonl",
        "search/history.jsonl",
        "search/last.ckpt",
    }


def test_baselines_that_come_too_late_are_told_and_scored_on_request(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manual = {"strategy": "manual", "manual_layers": [1]}
    without, asked = (quick_config(home, search=manual, baselines=baselines) for baselines in (False, True))
    metrics = run(without, tmp_path / "run")
    assert run(without, tmp_path / "run") == metrics and "baselines" not in caplog.text
    assert run(asked, tmp_path / "run") == metrics
    assert "ended without baselines" in caplog.text and "delete its metrics.json" in caplog.text
    (tmp_path / "run" / "metrics.json").unlink()
    scored = run(asked, tmp_path / "run")
    assert scored.baselines and scored.test_metric == metrics.test_metric


def test_ready_splits_of_a_seed_are_no_data_set_of_the_hub(home: Path, tmp_path: Path) -> None:
    (tmp_path / "few-3").mkdir()
    shutil.copy(home / "data.csv", tmp_path / "few-3" / "train.csv")
    manual = {"strategy": "manual", "manual_layers": [1]}
    data = {"train": None, "source": str(tmp_path / "few-{seed}")}
    run(quick_config(home, search=manual, data=data, seed=3), tmp_path / "run")
    assert "few-{seed}" not in (tmp_path / "run" / "model" / "README.md").read_text(encoding="utf-8")


def test_baselines_are_the_head_alone_and_a_free_prompt_at_the_input(home: Path, tmp_path: Path) -> None:
    head = run_without_search(quick_config(home), "head", tmp_path / "head")
    # what only generated prompts have is left out
    with_offset = quick_config(home, prompt={"token_offset": True})
    free = run_without_search(with_offset, "input_prompt", tmp_path / "free")
    assert (head.layers, head.prompt_parameters, head.head_parameters) == ((), 0, 66)
    assert (free.layers, free.prompt_parameters, free.head_parameters) == ((0,), 3 * 32, 66)
    assert head.train_steps == free.train_steps == 30
    names = load_file(tmp_path / "free" / "model" / "prompt.safetensors").keys()
    assert names == {"choices.0.generator.vectors", "head.linear.weight", "head.linear.bias"}


def test_a_verbalizer_runs_on_the_masked_language_model(home: Path, tmp_path: Path) -> None:
    verbalizer = {"kind": "verbalizer"}
    manual = {"strategy": "manual", "manual_layers": [1]}
    metrics = run(quick_config(home, head=verbalizer, search=manual), tmp_path / "run")
    assert metrics.head_parameters == 0 < metrics.prompt_parameters
    zero_shot = run_without_search(quick_config(home, head=verbalizer), "head", tmp_path / "zero-shot")
    assert (zero_shot.tunable_parameters, zero_shot.train_steps, zero_shot.train_epochs) == (0, 0, 0)
    classifier = PromptClassifier.from_pretrained(tmp_path / "run" / "model")
    assert {answer.label for answer in classifier.predict(["the film was great"])} <= {"bad", "good"}


def test_the_cache_changes_nothing_but_what_it_costs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    manual = {"strategy": "manual", "manual_layers": [2]}
    found = []
    # a cached run and one that reads what it cached
    for mode, folder in (("off", "off"), ("disk", "disk"), ("disk", "again")):
        found.append(timeless(run(quick_config(home, cache=mode, search=manual), tmp_path / folder)))
    flops = [metrics.pop("train_flops") for metrics in found]
    assert flops == [metrics.pop("total_flops") for metrics in found]
    assert flops[0] > flops[1] == flops[2] > 0
    assert found[1] == found[2]
    # states are cached in other batches than a training has, which changes the last bits on some machines
    assert leaves(found[0]) == {
        key: pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
        for key, value in leaves(found[1]).items()
    }
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 3


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_cached_run_ends_with_the_accuracy_of_an_uncached_one(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    found = {}
    for mode in ("off", "disk"):
        config = tiny_config(
            tmp_path,
            cache=mode,
            search={"strategy": "manual", "manual_layers": [2]},
            training={"precision": precision},
        )
        found[mode] = run(config, tmp_path / mode)
    for score in ("dev_accuracy", "test_accuracy"):
        assert getattr(found["disk"], score) == getattr(found["off"], score)
    assert (tmp_path / "cache" / "prefixes").is_dir()


def test_a_search_hands_its_token_offsets_on_and_the_saved_prompt_has_them(tmp_path: Path) -> None:
    inherit = tiny_config(tmp_path, prompt={"token_offset": True}, search={"inherit": True})
    metrics = run(inherit, tmp_path / "run")
    inherited = load_file(tmp_path / "run" / "search" / "inherited.safetensors")
    loaded = PromptClassifier.from_pretrained(tmp_path / "run" / "model")
    for layer in metrics.layers:
        assert inherited[f"choices.{layer}.generator.up_tokens.weights"].abs().max() > 0
        assert loaded.model.choices[layer].generator.up_tokens.weights.abs().max() > 0
