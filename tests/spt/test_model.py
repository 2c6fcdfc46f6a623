"""The owned loop: who is called with what, what is saved for the gradient, and starting from a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spt.heads import ClassificationHead, VerbalizerHead
from spt.model import PromptedModel, trained
from spt.prompts.choices import InsertPrompt, Propagate
from spt.prompts.state import PromptState
from spt.start import Start
from tests.support.families import HIDDEN, batch, gated, generator, prompted, shared_backbone

LAYERS = 3
NAMES = ["bert", "gpt2"]
Backbones = pytest.mark.parametrize("name", NAMES)


def backbone(name: str = "bert") -> Any:
    return shared_backbone(name, "sdpa")


@contextmanager
def watched_layers(model: PromptedModel) -> Iterator[list[tuple[int, bool, int]]]:
    """Index, whether gradients are on, and columns of every layer call."""
    calls: list[tuple[int, bool, int]] = []
    whole = type(model.backbone).layer

    def layer(self: Any, index: int, hidden: Tensor, frame: Any) -> Tensor:
        calls.append((index, torch.is_grad_enabled(), hidden.shape[1]))
        return whole(self, index, hidden, frame)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model.backbone), "layer", layer)
        yield calls


@Backbones
@pytest.mark.parametrize("layers", [[0], [1], [2], [0, 2], []], ids=str)
def test_layers_below_the_first_prompt_run_on_tokens_alone_and_without_gradients(
    name: str, layers: list[int]
) -> None:
    model = prompted(backbone(name), layers)
    first = min(layers, default=LAYERS)
    assert model.first_prompt_layer == first
    with watched_layers(model) as calls:
        model(batch(name, [6, 4]))
    assert calls == [(index, index >= first, 6 if index < first else 9) for index in range(LAYERS)]


@contextmanager
def saved_bytes() -> Iterator[list[int]]:
    """Sizes of the tensors kept for the backward pass."""
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


def test_no_activations_are_saved_below_the_first_prompt_layer() -> None:
    model = prompted(backbone(), [1])
    with saved_bytes() as sizes:
        start = model.prefix(batch("bert", [6, 4]))
    assert sizes == []
    assert not start.hidden.requires_grad


def test_later_prompts_save_less() -> None:
    saved = []
    for layer in range(LAYERS):
        with saved_bytes() as sizes:
            prompted(backbone(), [layer])(batch("bert", [6, 4]))
        saved.append(sum(sizes))
    assert saved[0] > 1.3 * saved[1] > 1.3 * 1.3 * saved[2] > 0


@Backbones
@torch.no_grad()
def test_a_pass_that_starts_at_the_first_prompt_gives_the_same_logits(name: str) -> None:
    model, inputs = prompted(backbone(name), [2]), batch(name, [6, 4])
    expected = model(inputs).logits
    start = model.prefix(inputs)
    assert start.layer == 2
    with watched_layers(model) as calls:
        torch.testing.assert_close(model(inputs, start).logits, expected, rtol=0, atol=0)
    assert [index for index, *_ in calls] == [2]


@torch.no_grad()
def test_a_start_below_the_first_prompt_is_carried_on() -> None:
    inputs = batch("bert", [6, 4])
    lower = prompted(backbone(), [1]).prefix(inputs)
    model = prompted(backbone(), [2])
    with watched_layers(model) as calls:
        logits = model(inputs, lower).logits
    assert [index for index, *_ in calls] == [1, 2]
    torch.testing.assert_close(logits, model(inputs).logits, rtol=0, atol=0)


@torch.no_grad()
def test_a_start_is_used_not_recomputed() -> None:
    model, inputs = prompted(backbone(), [2]), batch("bert", [6, 4])
    layer, hidden = model.prefix(inputs)
    other = model(inputs, Start(layer, hidden + torch.randn_like(hidden))).logits
    assert (other - model(inputs).logits).abs().max() > 1e-3


def test_a_start_above_the_first_prompt_is_refused() -> None:
    inputs = batch("bert", [6, 4])
    start = prompted(backbone(), [2]).prefix(inputs)
    with pytest.raises(ValueError, match="starts at layer 2, but the first prompt is at layer 1"):
        prompted(backbone(), [1])(inputs, start)


def test_each_choice_sees_the_prompt_from_below_and_the_tokens_hidden_states() -> None:
    seen: list[tuple[int, int, tuple[int, ...]]] = []

    class Watching(InsertPrompt):
        def __init__(self, layer: int) -> None:
            super().__init__(generator(layer))
            self.layer = layer

        def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
            seen.append((self.layer, prompt.length, tuple(hidden.shape)))
            return super().forward(prompt, hidden, mask)

    choices = [Propagate(), Watching(1), Watching(2)]
    inputs = batch("bert", [6, 4])
    model = PromptedModel(backbone(), choices, ClassificationHead(HIDDEN, 2))
    output = model(inputs)
    assert seen == [(1, 0, (2, 6, HIDDEN)), (2, 3, (2, 6, HIDDEN))]
    assert output.features.shape == (2, HIDDEN)
    assert output.logits.shape == (2, 2)


@Backbones
def test_gradient_reaches_all_that_trains_and_nothing_else(name: str) -> None:
    choices = [Propagate(), InsertPrompt(generator(1)), InsertPrompt(generator(2))]
    model = PromptedModel(backbone(name), choices, ClassificationHead(HIDDEN, 2))
    model(batch(name, [6, 4])).logits[:, 0].sum().backward()
    parts = {name for name, p in trained(model) if p.grad is not None and p.grad.abs().sum() > 0}
    assert {part.rpartition(".")[0] for part in parts} >= {
        "choices.2.generator.up",
        "choices.2.generator.down",
        "head.linear",
    }
    # the prompt of layer 1 still matters: its keys and values were read before layer 2 replaced it
    assert any(part.startswith("choices.1.") for part in parts)
    assert all(p.grad is None for p in model.backbone.parameters())


def test_trained_is_every_parameter_outside_the_backbone() -> None:
    discrete = PromptedModel(
        backbone(), [Propagate(), InsertPrompt(generator(1)), Propagate()], ClassificationHead(HIDDEN, 2)
    )
    names = {name for name, _ in trained(discrete)}
    inside = {f"choices.1.generator.{name}" for name, _ in generator(1).named_parameters()}
    assert names == inside | {"head.linear.weight", "head.linear.bias"}
    assert {name for name, p in discrete.named_parameters() if p.requires_grad} == names
    gates = {name for name, _ in trained(gated(backbone(), [0.0] * LAYERS)) if name.endswith("alpha")}
    assert gates == {f"choices.{layer}.alpha" for layer in range(LAYERS)}
    verbalizing = PromptedModel(
        backbone(), [Propagate()] * LAYERS, VerbalizerHead(backbone(), [4, 5], mask_id=6)
    )
    assert list(trained(verbalizing)) == []


def test_trained_sees_through_a_wrapper() -> None:
    model = prompted(backbone(), [0])
    assert [name for name, _ in trained(nn.ModuleDict({"model": model}))] == [
        f"model.{name}" for name, _ in trained(model)
    ]


def test_training_mode_leaves_the_backbone_in_evaluation() -> None:
    model = prompted(backbone(), [0]).train()
    assert model.choices.training
    assert not any(module.training for module in model.backbone.modules())
