"""The contrastive stage: its loss, its batches, what trains when, and going on after a kill."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spt.architecture import PromptLayers
from spt.errors import InputError, TrialFailed
from spt.model import PromptedModel, trained
from spt.storage.json_files import read_json_lines
from spt.storage.tensor_files import read_tensors
from spt.training import contrast as stage
from spt.training import fit as fitting
from spt.training.callbacks import OnEpoch
from spt.training.config import TrainingConfig
from spt.training.contrast import class_batches, contrast, pair_loss
from spt.training.fit import fit
from spt.training.head_regression import fit_head
from spt.training.history import History
from spt.training.losses import new_loss
from spt.workbench import Workbench
from tests.support.tiny import tiny_workbench


def bench(folder: Path, **training: Any) -> Workbench:
    training = {"contrastive_steps": 12, **training}
    return tiny_workbench(folder, prompt={"token_offset": True}, training=training)


def new_model(run: Workbench) -> PromptedModel:
    return run.factory.model(PromptLayers.of([1, 3], 4))


def train(run: Workbench, model: PromptedModel, folder: Path, on_epoch: OnEpoch | None = None) -> Any:
    batches = [run.batches("train", model, shuffled=True).loader, run.batches("dev", model).loader]
    history = History(folder / "history.jsonl")
    return fit(model, *batches, run.spec.task, run.training, run.seed, folder, on_epoch, history)


def weights(model: PromptedModel) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in trained(model)}


def test_the_loss_is_that_of_pairs_counted_by_hand() -> None:
    features = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0], [-1.0, 0.0]])
    labels = torch.tensor([0, 0, 1, 1])
    half = 0.5**0.5
    # by pair: alike 01, 23; unlike 02, 03, 12, 13, of which 03 and 13 are below 0
    expected = ((1 - half) ** 2 + 1 + 0 + 0 + half**2 + 0) / 6
    assert pair_loss(features, labels).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("counts", "classes", "rows"),
    [([50, 50], 2, 24), ([3, 50], 2, 15), ([9] * 20, 6, 24), ([2] * 20, 6, 12), ([40], 1, 24)],
)
def test_a_step_has_few_classes_with_several_rows_each(counts: list[int], classes: int, rows: int) -> None:
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    config = TrainingConfig(contrastive_steps=30)
    steps = list(class_batches(labels, config, seed=1))
    assert len(steps) == 30
    for step in steps:
        assert len(step) == len(set(step)) == rows
        assert len(labels[step].unique()) == classes
    assert {int(label) for step in steps for label in labels[step]} == set(range(len(counts)))
    assert list(class_batches(labels, config, seed=1)) == steps
    assert len(counts) == 1 or list(class_batches(labels, config, seed=2)) != steps


def test_it_draws_classes_together_and_leaves_the_head_alone(tmp_path: Path) -> None:
    run = bench(tmp_path, contrastive_steps=100, generator_rate=0.03)
    model = new_model(run)
    batch = next(iter(run.batches("dev", model).loader))

    def apart() -> float:
        with torch.no_grad():
            features = functional.normalize(model.eval()(batch).features, dim=-1)
        alike = batch["labels"][:, None] == batch["labels"][None]
        cosines = features @ features.T
        return (cosines[alike].mean() - cosines[~alike].mean()).item()

    before, start = apart(), weights(model)
    loader = run.batches("train", model, shuffled=True).loader
    contrast(model, loader, run.training, run.seed, tmp_path / "stage")
    assert apart() > 5 * before > 0
    moved = {name for name, value in weights(model).items() if not torch.equal(value, start[name])}
    assert moved == {name for name in start if not name.startswith("head.")}


def after_the_stage(folder: Path, seed: int = 0, dropout: float = 0.0, **training: Any) -> Tensor:
    """What trains in the stage as it leaves it."""
    run = tiny_workbench(
        folder,
        prompt={"token_offset": True, "dropout": dropout},
        training={"contrastive_steps": 12, **training},
    )
    model = new_model(run)
    loader = run.batches("train", model, shuffled=True).loader
    contrast(model, loader, run.training, seed, folder / f"stage-{len(list(folder.iterdir()))}")
    return torch.cat([w.flatten() for name, w in weights(model).items() if not name.startswith("head.")])


def test_the_seed_decides_rows_and_what_drops_out(tmp_path: Path) -> None:
    first = after_the_stage(tmp_path, seed=1)
    assert not torch.equal(after_the_stage(tmp_path, seed=2), first)
    torch.manual_seed(5)
    dropped = after_the_stage(tmp_path, seed=1, dropout=0.5)
    torch.manual_seed(6)
    assert torch.equal(after_the_stage(tmp_path, seed=1, dropout=0.5), dropped)


@pytest.mark.parametrize("option", [{"weight_decay": 5.0}, {"gradient_clip": 1e-9}, {"warmup": 0.9}], ids=str)
def test_the_trainings_options_hold_in_the_stage(option: dict[str, float], tmp_path: Path) -> None:
    plain = after_the_stage(tmp_path)
    assert not torch.allclose(after_the_stage(tmp_path, **option), plain, atol=1e-5)


def test_rates_rise_and_fall_over_the_stages_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schedules: list[Any] = []
    real = stage.rise_and_fall

    def kept(*arguments: Any) -> Any:
        schedules.append(real(*arguments))
        return schedules[-1]

    monkeypatch.setattr(stage, "rise_and_fall", kept)
    after_the_stage(tmp_path, contrastive_steps=7)
    (schedule,) = schedules
    assert schedule.last_epoch == 7 and schedule.get_last_lr() == [0.0] * len(schedule.get_last_lr())


def test_after_it_the_head_alone_is_fitted(tmp_path: Path) -> None:
    run = bench(tmp_path)
    model = new_model(run)
    told: list[tuple[int, float]] = []
    result = train(run, model, tmp_path / "fit", on_epoch=lambda *epoch: told.append(epoch))
    after_stage = read_tensors(tmp_path / "fit" / "contrast.safetensors", "").tensors
    for name, value in weights(model).items():
        assert torch.equal(value, after_stage[name]) == (not name.startswith("head."))
    assert (result.epochs, result.best_epoch, told) == (1, 1, [(0, result.dev)])
    assert result.steps > 12 and result.flops > 0
    (line,) = read_json_lines(tmp_path / "fit" / "history.jsonl", "")
    assert (line["epoch"], line["dev"]) == (0, result.dev) and line["loss"] > 0


def test_without_dev_rows_it_ends_the_same(tmp_path: Path) -> None:
    run = bench(tmp_path)
    with_dev, without = new_model(run), new_model(run)
    train(run, with_dev, tmp_path / "with")
    loader = run.batches("train", without, shuffled=True).loader
    result = fit(without, loader, None, run.spec.task, run.training, run.seed, tmp_path / "without")
    assert isnan(result.dev) and not (tmp_path / "without" / "history.jsonl").exists()
    assert all(torch.equal(value, weights(without)[name]) for name, value in weights(with_dev).items())


def test_layers_that_run_twice_to_save_memory_end_with_the_same_numbers(tmp_path: Path) -> None:
    plain, saving = (new_model(bench(tmp_path)) for _ in range(2))
    train(bench(tmp_path), plain, tmp_path / "plain")
    train(bench(tmp_path, checkpointing=True), saving, tmp_path / "saving")
    assert (plain.checkpointing, saving.checkpointing) == (False, True)
    for name, value in weights(plain).items():
        assert torch.allclose(value, weights(saving)[name], atol=1e-5)


def test_killed_after_the_stage_it_ends_with_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench(tmp_path)
    whole = new_model(run)
    expected = train(run, whole, tmp_path / "whole")
    first = new_model(run)
    loader = run.batches("train", first, shuffled=True).loader
    contrast(first, loader, run.training, run.seed, tmp_path / "killed")
    monkeypatch.setattr(stage, "_train", None)
    again = new_model(run)
    result = train(run, again, tmp_path / "killed")
    assert (result.dev, result.steps, result.flops) == (expected.dev, expected.steps, expected.flops)
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(again).items())


def test_a_loss_that_is_not_finite_ends_it(tmp_path: Path) -> None:
    run = bench(tmp_path, generator_rate=1e30)
    with pytest.raises(
        TrialFailed, match=r"contrastive loss is nan in step \d+\. Lower .*generator_rate \(now 1e\+30"
    ) as failed:
        train(run, new_model(run), tmp_path / "fit")
    assert failed.value.flops > 0


def test_where_the_head_alone_trains_there_is_no_stage(tmp_path: Path) -> None:
    run = bench(tmp_path)
    model = run.factory.model(PromptLayers.of([], 4))
    loader = run.batches("train", model, shuffled=True).loader
    assert contrast(model, loader, run.training, run.seed, tmp_path) == (0, 0.0, 0)
    result = train(run, model, tmp_path)
    assert result.dev > 0.5
    alone = fit_head(model, loader, new_loss(run.spec.task), run.training.precision)
    assert result.steps == alone.steps


def test_a_head_that_cannot_be_fitted_is_charged_with_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TrialFailed("no head")

    run = bench(tmp_path)
    whole = train(run, new_model(run), tmp_path / "whole")
    monkeypatch.setattr(fitting, "fit_head", fail)
    with pytest.raises(TrialFailed, match="no head") as failed:
        train(run, new_model(run), tmp_path / "fit")
    assert 0.5 * whole.flops < failed.value.flops < whole.flops


def test_several_labels_a_text_are_refused(tmp_path: Path) -> None:
    task = {"multi_label": True, "label_words": None}
    with pytest.raises(InputError, match=r"contrastive_steps is 3, .*'custom' has multi_label"):
        tiny_workbench(tmp_path, task=task, training={"contrastive_steps": 3})


def test_a_head_without_weights_of_its_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"contrastive_steps is 3, .*kind verbalizer trains.*classification"):
        tiny_workbench(tmp_path, head={"kind": "verbalizer"}, training={"contrastive_steps": 3})
