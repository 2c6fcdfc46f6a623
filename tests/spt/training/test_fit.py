"""fit: it learns, stops in time, keeps the best epoch, goes on after a kill, and reads every option."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open
from torch import Tensor

from spt.architecture import PromptLayers
from spt.data.encoded.batches import make_loader
from spt.errors import TrialFailed
from spt.evaluation import evaluate
from spt.model import PromptedModel, trained
from spt.training import recipe
from spt.training.callbacks import OnEpoch, RecordEpochs
from spt.training.checkpoint import load_state
from spt.training.config import TrainingConfig, training_as_written
from spt.training.fit import fit
from spt.training.history import History
from spt.training.rates import parameter_groups
from spt.training.result import TrainingResult
from spt.training.unfinished import checkpoint_path
from spt.workbench import Workbench
from tests.support.tiny import tiny_workbench

STEPS = 15


@dataclass(frozen=True)
class Tiny:
    """A fresh model over the tiny backbone, and its training."""

    run: Workbench
    layers: tuple[int, ...] = (1,)
    seed: int = 0

    def model(self) -> PromptedModel:
        return self.run.factory.model(PromptLayers.of(self.layers, 4))

    def dev(self, config: TrainingConfig) -> Any:
        return make_loader(self.run.examples["dev"], self.run.tokenizer, config.eval_batch_size)

    def fit(
        self,
        folder: Path,
        model: PromptedModel | None = None,
        on_epoch: OnEpoch | None = None,
        **changes: Any,
    ) -> tuple[TrainingResult, PromptedModel]:
        config = TrainingConfig(**{"epochs": 2, "batch_size": 8, "learning_rate": 0.01, **changes})
        model = model or self.model()
        train = make_loader(self.run.examples["train"], self.run.tokenizer, config.batch_size, self.seed)
        result = fit(model, train, self.dev(config), self.run.spec.task, config, self.seed, folder, on_epoch)
        return result, model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("training")
    return Tiny(tiny_workbench(folder, cache="off", prompt={"dropout": 0.2, "token_offset": False}))


def test_without_dev_lightning_has_nothing_to_say(tiny: Tiny, tmp_path: Path) -> None:
    model, config = tiny.model(), TrainingConfig(epochs=1, batch_size=8)
    train = make_loader(tiny.run.examples["train"], tiny.run.tokenizer, 8, tiny.seed)
    with warnings.catch_warnings(record=True) as said:
        result = fit(model, train, None, tiny.run.spec.task, config, tiny.seed, tmp_path)
    assert isnan(result.dev) and result.epochs == 1
    messages = [str(each.message) for each in said]
    assert not [each for each in messages if "val_dataloader" in each or "Total length" in each]


def weights(model: PromptedModel) -> Tensor:
    return torch.cat([p.detach().flatten().clone() for _, p in trained(model)])


def numbers(result: TrainingResult) -> tuple[float, int, int]:
    return result.dev, result.epochs, result.steps


def one_rate(rate: float) -> dict[str, Any]:
    return {"learning_rate": rate, "prompt_rate": None, "generator_rate": None}


@pytest.mark.slow
def test_it_learns_the_tiny_data(tiny: Tiny, tmp_path: Path) -> None:
    scores: list[float] = []
    model = tiny.model()
    before = evaluate(model, tiny.dev(TrainingConfig()), tiny.run.spec.task)["accuracy"]
    result, _ = tiny.fit(
        tmp_path, model, lambda _, dev: scores.append(dev), epochs=10, patience=10, **one_rate(0.05)
    )
    assert before < 0.75
    assert result.dev == max(scores) >= 0.9
    assert len(scores) == result.epochs == 10
    assert result.seconds > 0


class Killed(BaseException):
    """What a kill looks like from inside."""


def kill_after(epoch: int) -> OnEpoch:
    def on_epoch(now: int, dev: float) -> None:  # noqa: ARG001
        if now == epoch:
            raise Killed

    return on_epoch


@pytest.fixture(scope="module")
def whole(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, Tensor]:
    """Three epochs at one go."""
    result, model = tiny.fit(tmp_path_factory.mktemp("whole"), epochs=3)
    return result, weights(model)


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(
    tiny: Tiny, whole: tuple[TrainingResult, Tensor], tmp_path: Path
) -> None:
    torch.manual_seed(99)
    result, model = tiny.fit(tmp_path / "same", epochs=3)
    assert numbers(result) == numbers(whole[0])
    assert torch.equal(weights(model), whole[1])
    _, other = replace(tiny, seed=1).fit(tmp_path / "other", epochs=3)
    assert not torch.allclose(weights(other), whole[1])


@pytest.mark.parametrize("moved", [False, True], ids=["in place", "folder moved"])
def test_killed_after_an_epoch_it_ends_with_the_same_numbers(
    tiny: Tiny, whole: tuple[TrainingResult, Tensor], tmp_path: Path, moved: bool
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        tiny.fit(folder, on_epoch=kill_after(2), epochs=3)
    if moved:
        folder = folder.rename(tmp_path / "elsewhere")
    seen: list[int] = []
    torch.manual_seed(99)
    result, model = tiny.fit(folder, on_epoch=lambda epoch, _: seen.append(epoch), epochs=3)
    assert seen == [2]
    assert numbers(result) == numbers(whole[0])
    assert torch.equal(weights(model), whole[1])


def test_killed_inside_an_epoch_it_ends_with_the_same_numbers(
    tiny: Tiny, whole: tuple[TrainingResult, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    real = recipe.TrainingRecipe.check_finite

    def killed_later(self: Any, loss: Tensor, batch_idx: int) -> None:
        steps.append(batch_idx)
        if len(steps) > STEPS + 5:
            raise Killed
        real(self, loss, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(recipe.TrainingRecipe, "check_finite", killed_later)
        with pytest.raises(Killed):
            tiny.fit(tmp_path, epochs=3)
    result, model = tiny.fit(tmp_path, epochs=3)
    assert numbers(result) == numbers(whole[0])
    assert torch.equal(weights(model), whole[1])


def test_killed_after_the_last_epoch_nothing_is_trained_again(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, model = tiny.fit(tmp_path)

    def no_step(*_: Any) -> None:
        raise AssertionError("a finished training went on")

    monkeypatch.setattr(recipe.TrainingRecipe, "training_step", no_step)
    again, loaded = tiny.fit(tmp_path)
    assert numbers(again) == numbers(result)
    assert torch.equal(weights(loaded), weights(model))


def test_each_epoch_drops_out_something_else(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    real = recipe.TrainingRecipe.on_train_epoch_start

    def watch(self: Any) -> None:
        real(self)
        drawn.append(torch.rand(1, generator=torch.default_generator.clone_state()).item())

    monkeypatch.setattr(recipe.TrainingRecipe, "on_train_epoch_start", watch)
    tiny.fit(tmp_path, epochs=3)
    assert len(set(drawn)) == 3


def scripted(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
    """Dev scores as given, one an epoch."""
    left = iter(scores)
    monkeypatch.setattr(recipe, "score_dev", lambda *_: {"metric": next(left)})


def test_the_best_epoch_is_restored(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.2, 0.9, 0.1])
    model, after = tiny.model(), []
    result, _ = tiny.fit(tmp_path, model, lambda *_: after.append(weights(model)), epochs=3)
    assert numbers(result) == (pytest.approx(0.9), 3, 3 * STEPS)
    # counted from 1
    assert result.best_epoch == 2
    assert torch.equal(weights(model), after[1])
    assert not torch.equal(after[1], after[2])


@pytest.mark.parametrize(("patience", "epochs"), [(1, 2), (2, 5)])
def test_training_stops_when_patience_is_over(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: int, epochs: int
) -> None:
    scripted(monkeypatch, [0.5, 0.4, 0.6, 0.6, 0.3, 0.9])
    result, _ = tiny.fit(tmp_path, epochs=6, patience=patience)
    assert numbers(result) == (pytest.approx(0.5 if patience == 1 else 0.6), epochs, epochs * STEPS)


def test_killed_after_stopping_early_it_does_not_start_again(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.5, 0.4])
    result, model = tiny.fit(tmp_path, epochs=6, patience=1)
    scripted(monkeypatch, [0.9] * 6)
    again, loaded = tiny.fit(tmp_path, epochs=6, patience=1)
    assert numbers(again) == numbers(result)
    assert torch.equal(weights(loaded), weights(model))


def test_a_loss_that_is_not_a_number_fails_the_trial(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(
        TrialFailed, match=r"loss is (nan|inf) in epoch 0, step \d+\..*learning_rate \(now 1e\+30\)"
    ):
        tiny.fit(tmp_path, learning_rate=1e30)


def test_an_overflow_in_bf16_says_that_the_precision_may_be_raised(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(TrialFailed, match=r"Lower training\.learning_rate .*set training\.precision to 32"):
        tiny.fit(tmp_path, learning_rate=1e30, precision="bf16")


def test_probabilities_that_are_not_finite_are_no_dev_score(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as where only the last step of an epoch breaks the weights
    monkeypatch.setattr(recipe, "class_probabilities", lambda logits, _: torch.full_like(logits, torch.nan))
    with pytest.raises(TrialFailed, match=r"(\d+) of \1 rows are not finite\. Lower the learning rate"):
        tiny.fit(tmp_path, epochs=1)
    assert not checkpoint_path(tmp_path).exists()


def test_a_loss_that_no_step_looked_at_is_noticed_when_the_epoch_ends(tmp_path: Path) -> None:
    epochs = RecordEpochs(History(tmp_path / "history.jsonl"))
    groups = [{"lr": 0.1}], [{"lr": 0.02, "initial_lr": 0.04}]
    optimizers = [SimpleNamespace(param_groups=each) for each in groups]
    trainer: Any = SimpleNamespace(
        current_epoch=3, callback_metrics={"dev": torch.tensor(0.5)}, optimizers=optimizers
    )
    for losses in ([1.0, 0.5], [1.0, float("nan")]):
        epochs.on_train_epoch_start(trainer, None)
        for step, loss in enumerate(losses):
            epochs.on_train_batch_start(trainer, None, None, step)
            epochs.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, None, step)
        if losses[1] == 0.5:
            epochs.on_validation_start(trainer, None)
            epochs.on_validation_end(trainer, None)
    with pytest.raises(TrialFailed, match=r"loss of epoch 3 is nan\. Lower training\.learning_rate"):
        epochs.on_validation_start(trainer, None)
    (line,) = epochs.history.path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {"epoch": 3, "dev": 0.5, "loss": 0.75, "rate_share": 0.5}


@pytest.mark.parametrize(
    "option",
    [
        {"epochs": 1},
        {"batch_size": 16},
        {"learning_rate": 0.02},
        {"weight_decay": 0.5},
        {"warmup": 0.5},
        {"gradient_clip": 0.01},
        {"precision": "bf16"},
    ],
    ids=str,
)
def test_each_training_option_changes_the_weights(
    option: dict[str, Any], tiny: Tiny, default: Tensor, tmp_path: Path
) -> None:
    _, model = tiny.fit(tmp_path, **option)
    assert not torch.allclose(weights(model), default, atol=1e-6)


@pytest.fixture(scope="module")
def default(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Tensor:
    """The weights that the options of `Tiny.fit` give."""
    return weights(tiny.fit(tmp_path_factory.mktemp("default"))[1])


def test_eval_batch_size_is_that_of_dev_batches(tmp_path: Path) -> None:
    run = tiny_workbench(tmp_path, cache="off", training={"eval_batch_size": 7})
    model = run.factory.model(PromptLayers.of([0], 4))
    sizes = [len(batch["labels"]) for batch in run.batches("dev", model).loader]
    assert sizes == [7, 7, 6]


def test_the_learning_rate_rises_and_falls(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    real = recipe.TrainingRecipe.check_finite

    def watch(self: Any, loss: Tensor, batch_idx: int) -> None:
        rates.append(self.optimizers().param_groups[0]["lr"])
        real(self, loss, batch_idx)

    monkeypatch.setattr(recipe.TrainingRecipe, "check_finite", watch)
    tiny.fit(tmp_path, warmup=0.2, **one_rate(0.01))
    top = rates.index(max(rates))
    assert len(rates) == 2 * STEPS
    assert top == pytest.approx(0.2 * 2 * STEPS, abs=1)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert max(rates) == pytest.approx(0.01, rel=0.05)
    assert rates[-1] < 0.001


@pytest.mark.parametrize(
    ("prompt", "layers", "vectors"),
    [
        ({"generator": "pooled"}, [1, 2], {"choices.1.generator.bias", "choices.2.generator.bias"}),
        ({"generator": "naive"}, [1], {"choices.1.generator.up.bias"}),
        ({"generator": "free"}, [0, 3], {"choices.0.generator.vectors", "choices.3.generator.vectors"}),
        ({"shared": True}, [1, 2], {"choices.1.generator.bias", "choices.2.generator.bias"}),
    ],
    ids=["pooled", "naive", "free", "shared"],
)
def test_vectors_generators_and_head_have_rates_of_their_own(
    prompt: dict[str, Any], layers: list[int], vectors: set[str], tmp_path: Path
) -> None:
    model = tiny_workbench(tmp_path, prompt=prompt).factory.model(PromptLayers.of(layers, 4))
    rates = {
        parameter: group["lr"]
        for group in parameter_groups(model, TrainingConfig(learning_rate=1, prompt_rate=2, generator_rate=3))
        for parameter in group["params"]
    }
    by_rate: dict[float, set[str]] = {1: set(), 2: set(), 3: set()}
    for name, parameter in trained(model):
        by_rate[rates[parameter]].add(name)
    assert by_rate[1] == {"head.linear.weight", "head.linear.bias"}
    assert by_rate[2] == vectors
    assert all(name.startswith("choices.") for name in by_rate[3])
    assert bool(by_rate[3]) == (prompt.get("generator") != "free")
    # one group, which checkpoints of earlier versions fit
    (group,) = parameter_groups(model, TrainingConfig(**one_rate(0.5)))
    assert group["lr"] == 0.5
    assert all(a is b for a, (_, b) in zip(group["params"], trained(model), strict=True))


@pytest.mark.parametrize("option", ["learning_rate", "prompt_rate", "generator_rate"])
def test_each_rate_moves_what_it_is_of_alone(option: str, tiny: Tiny, tmp_path: Path) -> None:
    still = {name: 1e-30 for name in ("learning_rate", "prompt_rate", "generator_rate")}
    model = tiny.model()
    before = {name: p.detach().clone() for name, p in trained(model)}
    tiny.fit(tmp_path, model, epochs=1, **{**still, option: 0.1})
    moved = {name for name, p in trained(model) if (p - before[name]).abs().max() > 1e-4}
    heads = {name for name in before if name.startswith("head.")}
    vectors = {name for name in before if name.endswith("generator.bias")}
    parts = {"learning_rate": heads, "prompt_rate": vectors, "generator_rate": {*before} - heads - vectors}
    assert moved == parts[option]


def test_what_a_program_wrote_before_there_were_several_rates_has_one() -> None:
    written = TrainingConfig().model_dump(exclude={"prompt_rate", "generator_rate"})
    config = TrainingConfig(**training_as_written(written))
    assert (config.prompt_rate, config.generator_rate) == (None, None)
    assert training_as_written({**written, "prompt_rate": 0.2})["prompt_rate"] == 0.2
    assert training_as_written({"learning_rate": 0.02}) == {"learning_rate": 0.02}
    # what a user writes out has the defaults of today
    assert TrainingConfig(**written).prompt_rate == 0.05


def test_only_prompts_and_head_move(tiny: Tiny, tmp_path: Path) -> None:
    model = tiny.model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    tiny.fit(tmp_path, model, epochs=1)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name, _ in trained(model)}


def test_checkpoints_are_safetensors_without_the_backbone(tiny: Tiny, tmp_path: Path) -> None:
    _, model = tiny.fit(tmp_path, epochs=1)
    assert {path.name for path in tmp_path.iterdir()} == {"best.ckpt", "last.ckpt"}
    names = {f"_model.{name}" for name, _ in trained(model)}
    for path in tmp_path.iterdir():
        with safe_open(path, framework="pt") as file:
            assert len(file.keys()) > 0
        assert load_state(path)["state_dict"].keys() == names
    assert load_state(checkpoint_path(tmp_path))["optimizer_states"]


def test_a_model_with_nothing_to_train_is_only_scored(tmp_path: Path) -> None:
    zero_shot = Tiny(tiny_workbench(tmp_path, cache="off", head={"kind": "verbalizer"}), layers=())
    result, model = zero_shot.fit(tmp_path / "train")
    score = evaluate(model, zero_shot.dev(TrainingConfig()), zero_shot.run.spec.task)["metric"]
    assert result == TrainingResult(score, epochs=0, steps=0, seconds=0.0, flops=0, best_epoch=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"eval_batch_size": 0},
        {"learning_rate": 0},
        {"weight_decay": -1},
        {"warmup": 1},
        {"gradient_clip": 0},
        {"patience": 0},
        {"precision": "16"},
        {"precision": 16},
        {"precision": 32.0},
        {"precision": True},
        {"momentum": 0.9},
    ],
    ids=str,
)
def test_a_wrong_option_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        TrainingConfig(**wrong)


@pytest.mark.parametrize(("precision", "fused"), [("32", True), ("bf16", False)])
def test_adamw_is_fused_where_lightning_can_clip_beside_it(
    precision: str, fused: bool, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[Any] = set()

    def watch(self: Any, loss: Tensor, batch_idx: int) -> None:  # noqa: ARG001
        seen.add(self.optimizers().param_groups[0]["fused"])

    monkeypatch.setattr(recipe.TrainingRecipe, "check_finite", watch)
    tiny.fit(tmp_path, epochs=1, precision=precision)
    assert seen == {fused}
