"""A whole tiny run: what it leaves, says and measures, and how it is read back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from filelock import Timeout
from safetensors.torch import load_file

from experiments import pipeline
from experiments.pipeline import run
from experiments.run import measures, searching, training
from experiments.run.folder import RunFolder
from experiments.run.results import RunMetrics
from experiments.run.training import load_workbench
from spt.architecture import PromptLayers
from spt.backbones import registry
from spt.errors import InputError
from spt.evaluation import evaluate
from spt.model import trained
from spt.serving.classifier import PromptClassifier
from spt.training.checkpoint import load_state
from strategies.ledger import Ledger
from tests.support.quick_runs import FILES_OF_A_RUN, files_of, quick_config, timeless
from tests.support.tiny import LAYERS

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


Whole = tuple[Path, RunMetrics, list[tuple[str, int, float]]]


@pytest.fixture(scope="module")
def whole(home: Path) -> Whole:
    """One run at one go: its folder, its metrics, and what it told after each epoch."""
    told: list[tuple[str, int, float]] = []
    folder = home / "whole"
    metrics = run(quick_config(home), folder, lambda *told_now: told.append(told_now))
    return folder, metrics, told


def histories(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.jsonl")
    }


def test_loggers_change_no_bit_of_the_results(whole: Whole, home: Path, tmp_path: Path) -> None:
    metrics = run(quick_config(home, loggers=[]), tmp_path / "run")
    assert files_of(tmp_path / "run") == FILES_OF_A_RUN - {"tensorboard/events", "tracking.json"}
    assert timeless(metrics) == timeless(whole[1])
    assert histories(tmp_path / "run") == histories(whole[0])
    names = "model/prompt.safetensors", "model/prompt.json", "search/search.json"
    contents = [[read_timeless(folder / name) for name in names] for folder in (tmp_path / "run", whole[0])]
    assert contents[0] == contents[1]


def read_timeless(path: Path) -> Any:
    if path.suffix == ".json":
        return {name: value for name, value in read(path).items() if "seconds" not in name}
    return path.read_bytes()


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_run_leaves_exactly_these_files(whole: Whole) -> None:
    assert files_of(whole[0]) == FILES_OF_A_RUN


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
    workbench = load_workbench(quick_config(home))
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
    assert saved["run"] == quick_config(home).model_dump(mode="json")
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
    assert run(quick_config(home), whole[0]) == whole[1]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_second_run_in_the_same_process_gives_the_same(whole: Whole, home: Path) -> None:
    torch.manual_seed(77)
    assert timeless(run(quick_config(home), home / "second")) == timeless(whole[1])
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
        pipeline.claimed(quick_config(home), RunFolder(tmp_path / "run")) as stages,
        monkeypatch.context() as patch,
    ):
        patch.setattr(owner, name, kill)
        with pytest.raises(Killed):
            stages.evaluate()
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert timeless(run(quick_config(home), tmp_path / "run")) == timeless(whole[1])
    assert files_of(tmp_path / "run") == FILES_OF_A_RUN
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
        run(quick_config(home), tmp_path / "run", on_epoch)
    assert timeless(run(quick_config(home), tmp_path / "run")) == timeless(whole[1])
    assert files_of(tmp_path / "run") == FILES_OF_A_RUN
    assert histories(tmp_path / "run") == histories(whole[0])


def test_another_config_is_refused_naming_the_keys(whole: Whole, home: Path) -> None:
    other = quick_config(home, seed=1, search={"k": 3}, task={"metric": "f1"})
    before = {path: path.read_bytes() for path in whole[0].rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"another config \(different: search\.k, seed, task\.metric\)"):
        run(other, whole[0])
    assert {path: path.read_bytes() for path in whole[0].rglob("*") if path.is_file()} == before


def test_a_folder_in_use_is_refused_and_free_again_afterwards(
    whole: Whole, home: Path, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    used = pytest.raises(InputError, match="is in use by another process")
    with folder.claimed(quick_config(home)), used:
        run(quick_config(home), folder.path)
    assert timeless(run(quick_config(home), folder.path)) == timeless(whole[1])


def test_a_finished_run_is_read_back_without_loading_anything(
    whole: Whole, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "load_workbench", kill)
    assert run(quick_config(home), whole[0]) == whole[1]
    assert pipeline.search(quick_config(home), whole[0]).as_json() == read(
        whole[0] / "search" / "search.json"
    )


def test_a_trained_run_that_goes_on_loads_one_backbone(
    whole: Whole, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole[0], folder)
    (folder / "metrics.json").unlink()
    loads: list[Any] = []
    load = registry.load_backbone
    monkeypatch.setattr(registry, "load_backbone", lambda *a, **o: loads.append(a) or load(*a, **o))
    assert timeless(run(quick_config(home), folder)) == timeless(whole[1])
    assert len(loads) == 1


def test_a_run_goes_on_with_other_threads_or_another_name(whole: Whole, home: Path) -> None:
    assert run(quick_config(home, threads=2, name="other"), whole[0]) == whole[1]
    with pytest.raises(InputError, match=r"different: cache\)"):
        run(quick_config(home, cache="auto"), whole[0])


def test_a_folder_of_an_earlier_version_is_read(whole: Whole, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole[0], folder)
    content = yaml.safe_load((folder / "config.yml").read_text(encoding="utf-8"))
    search = content["run"]["search"]
    # which had the options of all strategies, and k under another name
    earlier = {"layers": search.pop("k"), "population": 9, "manual_layers": [], "compare_derivations": False}
    content["run"]["search"] = {**search, **earlier}
    (folder / "config.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert run(quick_config(home), folder) == whole[1]


def test_a_lock_of_something_else_is_not_mistaken_for_the_folders(whole: Whole, home: Path) -> None:
    with pytest.raises(Timeout), RunFolder(whole[0]).claimed(quick_config(home)):
        raise Timeout("another.lock")


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
    inheriting = quick_config(home, search={"inherit": True})
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
