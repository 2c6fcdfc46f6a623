"""Layers below the first prompt save nothing for the backward pass, whatever is wrapped around the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from benchmarks.cost.measure import saved_bytes
from spt.architecture import PromptLayers
from spt.backbones.base import Backbone
from spt.heads import ClassificationHead
from spt.model import PromptedModel
from spt.prompts.choices import InsertPrompt, Propagate
from spt.start import Start
from spt.training.config import TrainingConfig
from spt.training.fit import fit
from spt.training.recipe import TrainingRecipe
from tests.support.families import batch, generator, prompted, tiny_backbone
from tests.support.tiny import tiny_workbench


def as_it_is(backbone: Backbone) -> None:
    pass


def trained_embeddings(backbone: Backbone) -> None:
    backbone.model.get_input_embeddings().weight.requires_grad_(True)


def inputs_with_gradients(backbone: Backbone) -> None:
    backbone.model.enable_input_require_grads()


def checkpointed_backbone(backbone: Backbone) -> None:
    backbone.model.activation_checkpointing_enable()


CHANGES = [as_it_is, trained_embeddings, inputs_with_gradients, checkpointed_backbone]
BF16 = [False, True]


@pytest.mark.parametrize("bf16", BF16, ids=["float32", "bf16"])
@pytest.mark.parametrize("ours", [False, True], ids=["kept", "checkpointed"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_step_saves_what_it_saves_from_a_finished_prefix(
    change: Callable[[Backbone], None], ours: bool, bf16: bool
) -> None:
    backbone = tiny_backbone("bert")
    change(backbone)
    model, rows = prompted(backbone, [2]).train(), batch("bert", [6, 4])
    model.checkpointing = ours
    parameters = list(model.parameters())
    with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
        start = model.prefix(rows)
        assert saved_bytes(lambda: model.prefix(rows), parameters) == 0
        whole = saved_bytes(lambda: model(rows).logits, parameters)
        assert whole == saved_bytes(lambda: model(rows, start).logits, parameters) > 0
    assert not model.prefix(rows).hidden.requires_grad


@contextmanager
def watched_prefixes(bf16: bool) -> Iterator[list[int]]:
    """The bytes that each prefix of a training step saves."""
    saved: list[int] = []
    prefix = PromptedModel.prefix

    def watched(self: PromptedModel, rows: Any, start: Start | None = None) -> Start:
        starts: list[Start] = []
        if self.training:
            assert torch.is_grad_enabled()
            assert torch.is_autocast_enabled("cpu") == bf16
            step = lambda: starts.append(prefix(self, rows, start))  # noqa: E731
            saved.append(saved_bytes(step, self.parameters()))
            return starts[0]
        return prefix(self, rows, start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PromptedModel, "prefix", watched)
        yield saved


@pytest.mark.parametrize("bf16", BF16, ids=["float32", "bf16"])
def test_nothing_is_saved_through_a_wrapped_training_step(tmp_path: Path, bf16: bool) -> None:
    run = tiny_workbench(tmp_path, data={"dev_size": 100, "test_size": 20})
    run.backbone.model.enable_input_require_grads()
    model = run.factory.model(PromptLayers.of([2], 4))
    train, dev = run.batches("train", model, shuffled=True).loader, run.batches("dev", model).loader
    config = TrainingConfig(epochs=1, batch_size=8, precision="bf16" if bf16 else "32")
    with watched_prefixes(bf16) as saved:
        fit(model, train, dev, run.spec.task, config, 0, tmp_path / "fit")
    assert saved == [0] * len(train)


def classifier(backbone: Backbone, checkpointing: bool) -> PromptedModel:
    choices = [Propagate(), InsertPrompt(generator(1)), InsertPrompt(generator(2))]
    torch.manual_seed(0)
    model = PromptedModel(backbone, choices, ClassificationHead(backbone.hidden_size, 2))
    model.checkpointing = checkpointing
    return model


def test_checkpointing_keeps_less_and_gives_the_same_gradients() -> None:
    backbone, rows = tiny_backbone("bert"), batch("bert", [12, 9])
    kept, gradients = [], []
    for checkpointing in (False, True):
        model = classifier(backbone, checkpointing)
        parameters = list(model.parameters())
        kept.append(saved_bytes(partial(model, rows), parameters))
        nn.functional.cross_entropy(model(rows).logits, torch.tensor([0, 1])).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert kept[1] < 0.5 * kept[0]
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("recipe", [True, False])
def test_the_recipe_sets_the_models_checkpointing(recipe: bool) -> None:
    module: pl.LightningModule = TrainingRecipe(TrainingConfig(checkpointing=recipe), None, 0, None)  # type: ignore[arg-type]
    model = classifier(tiny_backbone("bert"), not recipe)
    module.set_model(model)
    assert model.checkpointing is recipe
