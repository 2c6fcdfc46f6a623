"""Whole tiny runs: what they leave, and how they go on after a kill."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from filelock import Timeout
from safetensors.torch import load_file

from experiments import pipeline
from experiments.baselines import baseline
from experiments.keys import leaves
from experiments.pipeline import run, search
from experiments.run import measures, searching, training
from experiments.run.folder import RunFolder
from experiments.run.results import RunMetrics
from experiments.run.training import load_workbench
from spt.architecture import PromptLayers
from spt.backbones import registry
from spt.errors import InputError, TrialFailed
from spt.evaluation import evaluate
from spt.model import trained
from spt.serving.classifier import PromptClassifier
from spt.training.checkpoint import load_state
from strategies.ledger import Ledger
from tests.support.runs import tiny_config
from tests.support.tiny import LAYERS

QUICK: dict[str, Any] = {"cache": "off", "search": {"epochs": 1}}
FIGURES = ("calibration", "confusion", "cost", "gates", "learning", "loss", "scores")
FILES = {
    ".lock",
    "architecture.json",
    "config.yml",
    "error_analysis.json",
    *(f"figures/{name}.{kind}" for name in FIGURES for kind in ("png", "svg")),
    "inputs.json",
    "ledger.json",
    "metrics.json",
    "model/README.md",
    "model/prompt.json",
    "model/prompt.safetensors",
    "report.html",
    "search/gates.jsonl",
    "search/history.jsonl",
    "search/last.ckpt",
    "search/search.json",
    "tensorboard/events",
    "tracking.json",
    "train/best.ckpt",
    "train/history.jsonl",
    "train/train.json",
}
METRICS = {
    "task": str,
    "backbone": str,
    "strategy": str,
    "layers": list,
    "kinds": list,
    "layers_total": int,
    "seed": int,
    "dev_accuracy": float,
    "test_accuracy": float,
    "test_f1": float,
    "metric": str,
    "dev_metric": float,
    "test_metric": float,
    "gates": dict,
    "scores": dict,
    "evaluations": int,
    "prompt_parameters": int,
    "head_parameters": int,
    "tunable_parameters": int,
    "search_seconds": float,
    "train_seconds": float,
    "total_seconds": float,
    "search_steps": int,
    "search_flops": int,
    "train_flops": int,
    "total_flops": int,
    "train_steps": int,
    "train_epochs": int,
    "train_size": int,
    "dev_size": int,
    "test_size": int,
    "command": type(None),
    "date": str,
    "versions": dict,
    "machine": dict,
    "warnings": list,
    "answers": dict,
    "cut_texts": dict,
    "fold_metrics": type(None),
    "dev_macro_f1": float,
    "test_macro_f1": float,
    "dev_weighted_f1": float,
    "test_weighted_f1": float,
    "test_micro_f1": type(None),
    "test_mean_average_precision": type(None),
    "test_label_ranking": type(None),
    "class_weights": type(None),
    "left_out": dict,
    "baselines": dict,
    "test_interval": list,
    "prompt_tuning_flops": int,
}
TIMES = {"search_seconds", "train_seconds", "total_seconds"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the tiny backbone and data of all runs."""
    folder = tmp_path_factory.mktemp("pipeline")
    tiny_config(folder)
    return folder


def config(home: Path, **sections: Any) -> Any:
    search = sections.pop("search", {})
    quick = {} if "strategy" in search else QUICK["search"]
    return tiny_config(home, **{**QUICK, **sections, "search": {**quick, **search}})


Whole = tuple[Path, RunMetrics, list[tuple[str, int, float]]]


@pytest.fixture(scope="module")
def whole(home: Path) -> Whole:
    """One run at one go: its folder, its metrics, and what it told after each epoch."""
    told: list[tuple[str, int, float]] = []
    folder = home / "whole"
    metrics = run(config(home), folder, lambda *told_now: told.append(told_now))
    return folder, metrics, told


def files(folder: Path) -> set[str]:
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    # a time and the machine's name follow
    return {re.sub(r"events\.out\.tfevents\..*", "events", name) for name in names}


def histories(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.jsonl")
    }


def test_loggers_change_no_bit_of_the_results(whole: Whole, home: Path, tmp_path: Path) -> None:
    metrics = run(config(home, loggers=[]), tmp_path / "run")
    assert files(tmp_path / "run") == FILES - {"tensorboard/events", "tracking.json"}
    assert timeless(metrics) == timeless(whole[1])
    assert histories(tmp_path / "run") == histories(whole[0])
    names = "model/prompt.safetensors", "model/prompt.json", "search/search.json"
    contents = [[read_timeless(folder / name) for name in names] for folder in (tmp_path / "run", whole[0])]
    assert contents[0] == contents[1]


def read_timeless(path: Path) -> Any:
    if path.suffix == ".json":
        return {name: value for name, value in read(path).items() if "seconds" not in name}
    return path.read_bytes()


def timeless(metrics: RunMetrics) -> dict[str, Any]:
    return {name: value for name, value in metrics.as_json().items() if name not in TIMES}


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_run_leaves_exactly_these_files(whole: Whole) -> None:
    assert files(whole[0]) == FILES


def test_metrics_have_these_keys_and_are_those_of_the_file(whole: Whole) -> None:
    folder, metrics, _ = whole
    content = read(folder / "metrics.json")
    assert {name: type(value) for name, value in content.items()} == METRICS
    assert content == metrics.as_json()
    assert RunMetrics.read(folder / "metrics.json") == metrics


def test_metrics_are_what_the_files_and_the_model_say(whole: Whole, home: Path) -> None:
    folder, metrics, _ = whole
    assert list(metrics.layers) == read(folder / "architecture.json")["layers"]
    assert (len(metrics.layers), metrics.layers_total) == (2, LAYERS)
    scores = metrics.scores
    assert scores is not None and metrics.gates is not None
    assert list(metrics.layers) == sorted(sorted(scores, key=lambda layer: -scores[layer])[:2])
    assert metrics.gates.keys() == scores.keys()
    assert (metrics.train_size, metrics.dev_size, metrics.test_size) == (120, 20, 20)
    # a half of 60 in batches of 8, at every second one also a step of the gates; two epochs of 120
    assert (metrics.search_steps, metrics.train_steps, metrics.train_epochs) == (8 + 4, 2 * 15, 2)
    weights = load_file(folder / "model" / "prompt.safetensors")
    heads = sum(w.numel() for name, w in weights.items() if name.startswith("head."))
    assert metrics.head_parameters == heads == 2 * 32 + 2
    assert metrics.tunable_parameters == sum(w.numel() for w in weights.values())
    assert metrics.prompt_parameters == metrics.tunable_parameters - heads
    loaded = PromptClassifier.from_pretrained(folder / "model")
    workbench = load_workbench(config(home))
    for split in ("dev", "test"):
        batches = workbench.batches(split, loaded.model)
        scores = evaluate(loaded.model, batches.loader, loaded.spec.task)
        assert scores["accuracy"] == getattr(metrics, f"{split}_accuracy")
        assert scores["metric"] == getattr(metrics, f"{split}_metric")
    best = max(score for stage, _, score in whole[2] if stage == "train")
    assert metrics.dev_metric == pytest.approx(best)


def test_the_config_file_is_the_resolved_config_with_versions(whole: Whole, home: Path) -> None:
    saved = yaml.safe_load((whole[0] / "config.yml").read_text(encoding="utf-8"))
    assert saved.keys() == {"run", "command", "date", "versions", "machine"}
    assert saved["run"] == config(home).model_dump(mode="json")
    assert {"torch", "nni", "transformers", "python"} <= saved["versions"].keys()


def test_listeners_hear_of_every_epoch(whole: Whole) -> None:
    assert [(stage, epoch) for stage, epoch, _ in whole[2]] == [("search", 0), ("train", 0), ("train", 1)]
    assert all(0 <= score <= 1 for _, _, score in whole[2])


def test_a_finished_run_is_read_back(whole: Whole, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a finished stage was repeated")

    monkeypatch.setattr(training, "fit", never)
    monkeypatch.setattr(pipeline, "finite_probabilities", never)
    monkeypatch.setattr(searching, "search", never)
    before = {path: path.stat().st_mtime_ns for path in whole[0].rglob("*") if path.name != ".lock"}
    assert run(config(home), whole[0]) == whole[1]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_second_run_in_the_same_process_gives_the_same(whole: Whole, home: Path) -> None:
    torch.manual_seed(77)
    assert timeless(run(config(home), home / "second")) == timeless(whole[1])
    name = Path("model", "prompt.safetensors")
    ours, theirs = load_file(home / "second" / name), load_file(whole[0] / name)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours.keys() | theirs.keys())


class Killed(BaseException):
    """What a kill looks like from inside."""


def kill(*_: Any, **__: Any) -> None:
    raise Killed


# each is killed just before the function named is called, so after all that precedes it
MOMENTS: dict[str, tuple[Any, str]] = {
    "before the search": (searching, "new_evaluator"),
    "after the search, before it is written": (Ledger, "charge"),
    "after search.json": (pipeline.PromptLayers, "of"),
    "after the search": (training, "fit"),
    "after the training, before it is calibrated": (pipeline, "finite_probabilities"),
    "after the training, before it is saved": (PromptClassifier, "save_pretrained"),
    "after the training": (measures, "dev_signs"),
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_it_ends_with_the_same_metrics(
    moment: str, whole: Whole, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = MOMENTS[moment]
    with (
        pipeline.claimed(config(home), RunFolder(tmp_path / "run")) as stages,
        monkeypatch.context() as patch,
    ):
        patch.setattr(owner, name, kill)
        with pytest.raises(Killed):
            stages.evaluate()
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert timeless(run(config(home), tmp_path / "run")) == timeless(whole[1])
    assert files(tmp_path / "run") == FILES
    assert histories(tmp_path / "run") == histories(whole[0])


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "epoch"), [("search", 0), ("train", 1)])
def test_killed_inside_a_stage_it_ends_with_the_same_metrics(
    stage: str, epoch: int, whole: Whole, home: Path, tmp_path: Path
) -> None:
    def on_epoch(now: str, at: int, dev: float) -> None:  # noqa: ARG001
        if (now, at) == (stage, epoch):
            raise Killed

    with pytest.raises(Killed):
        run(config(home), tmp_path / "run", on_epoch)
    assert timeless(run(config(home), tmp_path / "run")) == timeless(whole[1])
    assert files(tmp_path / "run") == FILES
    assert histories(tmp_path / "run") == histories(whole[0])


def test_another_config_is_refused_naming_the_keys(whole: Whole, home: Path) -> None:
    other = config(home, seed=1, search={"k": 3}, task={"metric": "f1"})
    before = {path: path.read_bytes() for path in whole[0].rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"another config \(different: search\.k, seed, task\.metric\)"):
        run(other, whole[0])
    assert {path: path.read_bytes() for path in whole[0].rglob("*") if path.is_file()} == before


def test_a_folder_in_use_is_refused_and_free_again_afterwards(
    whole: Whole, home: Path, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    used = pytest.raises(InputError, match="is in use by another process")
    with folder.claimed(config(home)), used:
        run(config(home), folder.path)
    assert timeless(run(config(home), folder.path)) == timeless(whole[1])


def test_a_finished_run_is_read_back_without_loading_anything(
    whole: Whole, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "load_workbench", kill)
    assert run(config(home), whole[0]) == whole[1]
    assert pipeline.search(config(home), whole[0]).as_json() == read(whole[0] / "search" / "search.json")


def test_a_trained_run_that_goes_on_loads_one_backbone(
    whole: Whole, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole[0], folder)
    (folder / "metrics.json").unlink()
    loads: list[Any] = []
    load = registry.load_backbone
    monkeypatch.setattr(registry, "load_backbone", lambda *a, **o: loads.append(a) or load(*a, **o))
    assert timeless(run(config(home), folder)) == timeless(whole[1])
    assert len(loads) == 1


def test_a_run_goes_on_with_another_cache_or_name(whole: Whole, home: Path) -> None:
    assert run(config(home, cache="auto", threads=2, name="other"), whole[0]) == whole[1]


def test_a_run_goes_on_with_another_engine(home: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.claimed(config(home, search={"strategy": "random"})):
        pass
    folder.check(config(home, search={"strategy": "random", "engine": {"kind": "ray", "cpus": 2}}))
    with pytest.raises(InputError, match=r"another config \(different: search\.evaluations\)"):
        folder.check(config(home, search={"strategy": "random", "evaluations": 3}))


def test_a_folder_of_an_earlier_version_is_read(whole: Whole, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole[0], folder)
    content = yaml.safe_load((folder / "config.yml").read_text(encoding="utf-8"))
    search = content["run"]["search"]
    # which had the options of all strategies, and k under another name
    earlier = {"layers": search.pop("k"), "population": 9, "manual_layers": [], "compare_derivations": False}
    content["run"]["search"] = {**search, **earlier}
    (folder / "config.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert run(config(home), folder) == whole[1]


def test_a_lock_of_something_else_is_not_mistaken_for_the_folders(whole: Whole, home: Path) -> None:
    with pytest.raises(Timeout), RunFolder(whole[0]).claimed(config(home)):
        raise Timeout("another.lock")


@pytest.mark.parametrize("content", ["", "name: my own\n", "a: [1\n", "- 1\n"])
def test_a_foreign_config_file_is_refused_and_kept(content: str, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"a config\.yml that no run wrote\. Choose another folder"):
        run(config(home), tmp_path)
    assert path.read_text(encoding="utf-8") == content


def test_a_file_in_the_folders_place_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be made"):
        run(config(home), tmp_path / "run")


def test_a_loss_that_is_not_a_number_fails_the_run(home: Path, tmp_path: Path) -> None:
    manual = {"strategy": "manual", "manual_layers": [1]}
    with pytest.raises(TrialFailed, match=r"loss is (nan|inf)"):
        run(config(home, search=manual, training={"learning_rate": 1e30}), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not (tmp_path / "run" / "model").exists()


def test_a_device_without_memory_fails_the_run_outside_of_its_training_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(pipeline, "finite_probabilities", full)
    manual = {"strategy": "manual", "manual_layers": [1]}
    with pytest.raises(TrialFailed, match="The device is out of memory"):
        run(config(home, search=manual, training={"epochs": 1}), tmp_path / "run")
    assert "The device is out of memory" in (tmp_path / "run" / "failure.txt").read_text(encoding="utf-8")


def test_a_search_that_has_tried_every_layer_ends_without_a_word_of_nnis(home: Path, tmp_path: Path) -> None:
    said: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("nni")
    logger.addHandler(listener)
    try:
        options = {"strategy": "random", "k": 1, "evaluations": 99}
        found = search(config(home, search=options, training={"epochs": 1}), tmp_path / "run")
    finally:
        logger.removeHandler(listener)
    assert found.evaluations == 4
    assert not any("Sampling failed" in line for line in said)


def test_the_manual_strategy_trains_the_layers_given(home: Path, tmp_path: Path) -> None:
    manual = {"strategy": "manual", "manual_layers": [3, 1]}
    metrics = run(config(home, search=manual), tmp_path / "run")
    assert (metrics.strategy, metrics.layers, metrics.gates) == ("manual", (1, 3), None)
    assert (metrics.search_seconds, metrics.search_steps) == (0, 0)
    assert metrics.total_seconds == metrics.train_seconds > 0
    assert metrics.total_flops == metrics.train_flops > 0
    assert files(tmp_path / "run") == FILES - {
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
    without, asked = (config(home, search=manual, baselines=baselines) for baselines in (False, True))
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
    run(config(home, search=manual, data=data, seed=3), tmp_path / "run")
    assert "few-{seed}" not in (tmp_path / "run" / "model" / "README.md").read_text(encoding="utf-8")


def test_baselines_are_the_head_alone_and_a_free_prompt_at_the_input(home: Path, tmp_path: Path) -> None:
    head = baseline(config(home), "head", tmp_path / "head")
    # what only generated prompts have is left out
    free = baseline(config(home, prompt={"token_offset": True}), "input_prompt", tmp_path / "free")
    assert (head.layers, head.prompt_parameters, head.head_parameters) == ((), 0, 66)
    assert (free.layers, free.prompt_parameters, free.head_parameters) == ((0,), 3 * 32, 66)
    assert head.train_steps == free.train_steps == 30
    names = load_file(tmp_path / "free" / "model" / "prompt.safetensors").keys()
    assert names == {"choices.0.generator.vectors", "head.linear.weight", "head.linear.bias"}


def test_a_verbalizer_runs_on_the_masked_language_model(home: Path, tmp_path: Path) -> None:
    verbalizer = {"kind": "verbalizer"}
    manual = {"strategy": "manual", "manual_layers": [1]}
    metrics = run(config(home, head=verbalizer, search=manual), tmp_path / "run")
    assert metrics.head_parameters == 0 < metrics.prompt_parameters
    zero_shot = baseline(config(home, head=verbalizer), "head", tmp_path / "zero-shot")
    assert (zero_shot.tunable_parameters, zero_shot.train_steps, zero_shot.train_epochs) == (0, 0, 0)
    classifier = PromptClassifier.from_pretrained(tmp_path / "run" / "model")
    assert {answer.label for answer in classifier.predict(["the film was great"])} <= {"bad", "good"}


@pytest.mark.slow
def test_inherit_starts_the_retraining_from_the_search(
    home: Path, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[dict[str, torch.Tensor]] = []
    real = training.fit

    def watched(model: Any, *arguments: Any) -> Any:
        starts.append({name: p.detach().clone() for name, p in trained(model)})
        return real(model, *arguments)

    monkeypatch.setattr(training, "fit", watched)
    inheriting = config(home, search={"inherit": True})
    metrics = run(inheriting, tmp_path / "run")
    assert metrics.layers == whole[1].layers
    inherited = load_file(tmp_path / "run" / "search" / "inherited.safetensors")
    (start,) = starts
    assert start.keys() == inherited.keys()
    assert all(torch.equal(start[name], inherited[name]) for name in start)
    layers = PromptLayers.load(tmp_path / "run" / "architecture.json")
    model = load_workbench(inheriting).factory.model(layers)
    assert not any(torch.equal(p, start[name]) for name, p in trained(model))
    searched = load_state(tmp_path / "run" / "search" / "last.ckpt")
    layer = metrics.layers[0]
    key = f"training_module._model.choices.{layer}.gated.insert.generator.bias"
    assert torch.equal(searched["state_dict"][key], start[f"choices.{layer}.generator.bias"])


def test_the_cache_changes_nothing_but_what_it_costs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    manual = {"strategy": "manual", "manual_layers": [2]}
    found = []
    # a cached run and one that reads what it cached
    for mode, folder in (("off", "off"), ("disk", "disk"), ("disk", "again")):
        found.append(timeless(run(config(home, cache=mode, search=manual), tmp_path / folder)))
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


def test_a_disk_that_is_too_small_is_met_before_a_run_begins(tmp_path: Path) -> None:
    for mode in ("disk", "auto"):
        small = tiny_config(tmp_path, cache=mode, cache_gb=1e-6)
        if mode == "auto":
            load_workbench(small)
            continue
        with pytest.raises(InputError, match="cache_gb"):
            run(small, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_search_hands_its_token_offsets_on_and_the_saved_prompt_has_them(tmp_path: Path) -> None:
    inherit = tiny_config(tmp_path, prompt={"token_offset": True}, search={"inherit": True})
    metrics = run(inherit, tmp_path / "run")
    inherited = load_file(tmp_path / "run" / "search" / "inherited.safetensors")
    loaded = PromptClassifier.from_pretrained(tmp_path / "run" / "model")
    for layer in metrics.layers:
        assert inherited[f"choices.{layer}.generator.up_tokens.weights"].abs().max() > 0
        assert loaded.model.choices[layer].generator.up_tokens.weights.abs().max() > 0
