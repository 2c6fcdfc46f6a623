"""Every family against stock Hugging Face models, and what every family owes to prompts."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from spt.backbones import registry
from spt.backbones.attention import SDPA_ON_CPU_IN_32_BITS
from spt.backbones.base import Backbone, joint_positions
from spt.backbones.bert import RobertaBackbone
from spt.errors import InputError
from spt.flops import flops
from spt.model import PromptedModel, trained
from spt.prompts.choices import Propagate
from spt.prompts.state import EMPTY, PromptState
from tests.support.families import (
    EVERY,
    FAMILIES,
    HIDDEN,
    VOCABULARY,
    TokenLogits,
    attentions,
    batch,
    gated,
    prompted,
    shared_backbone,
    tiny_backbone,
    tiny_model,
)

LENGTHS = [9, 4, 6]
CAUSAL = ["gpt2", "llama", "mistral", "qwen2", "qwen2-window", "qwen3"]
WINDOWED = ["modernbert", "mistral", "qwen2-window"]

every = pytest.mark.parametrize(("name", "attention"), EVERY)
close = {"rtol": 0.0, "atol": 1e-5}


def real(values: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """The rows of real tokens: [B, T, ...] -> [tokens, ...]."""
    return values[inputs["attention_mask"].bool()]


class Given(nn.Module):
    """A choice that puts a given prompt [1 or B, P, H] of a given presence."""

    def __init__(self, vectors: Tensor, presence: Tensor | None) -> None:
        super().__init__()
        self.vectors = vectors
        self.presence = presence

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        return PromptState(self.vectors.expand(len(hidden), -1, -1), self.presence)


def with_prompt(backbone: Backbone, layer: int, vectors: Tensor, presence: Tensor | None) -> PromptedModel:
    choices: list[nn.Module] = [Propagate() for _ in range(backbone.num_layers)]
    choices[layer] = Given(vectors, presence)
    return PromptedModel(backbone, choices, TokenLogits(backbone))


def some_vectors(length: int = 3) -> Tensor:
    return torch.randn(1, length, HIDDEN, generator=torch.Generator().manual_seed(5))


# --- without a prompt


@pytest.mark.parametrize("side", ["right", "left", "none"])
@every
def test_no_prompt_equals_hugging_face(name: str, attention: str, side: str) -> None:
    backbone = shared_backbone(name, attention)
    model = backbone.model
    inputs = batch(name, [7, 7] if side == "none" else LENGTHS, side, extra=0 if side == "none" else 2)
    stock = dict(inputs)
    if not isinstance(backbone, RobertaBackbone):  # RoBERTa makes its own from the padding
        stock["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp_min(0)
    with torch.no_grad():
        hidden = model.base_model(**stock).last_hidden_state
        logits = model(**stock).logits
        ours = prompted(backbone, [])(inputs)
    torch.testing.assert_close(real(ours.features, inputs), real(hidden, inputs), **close)
    torch.testing.assert_close(real(ours.logits, inputs), real(logits, inputs), **close)
    assert ours.logits.isfinite().all()


@pytest.mark.parametrize("name", FAMILIES)
def test_no_prompt_equals_a_model_that_no_backbone_has_touched(name: str) -> None:
    attention = attentions(name)[0]
    inputs = batch(name, LENGTHS)
    with torch.no_grad():
        logits = tiny_model(name, attention)(**inputs).logits
        ours = prompted(shared_backbone(name, attention), [])(inputs)
    torch.testing.assert_close(real(ours.logits, inputs), real(logits, inputs), **close)


@pytest.mark.parametrize("name", [name for name, tiny in FAMILIES.items() if tiny.token_types])
def test_token_types_count_and_may_be_missing(name: str) -> None:
    inputs = batch(name, LENGTHS)
    without = {key: value for key, value in inputs.items() if key != "token_type_ids"}
    zeros = {**inputs, "token_type_ids": torch.zeros_like(inputs["token_type_ids"])}
    model = prompted(shared_backbone(name, attentions(name)[0]), [])
    torch.testing.assert_close(model(without).logits, model(zeros).logits, **close)
    assert (real(model(inputs).logits, inputs) - real(model(zeros).logits, inputs)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["deberta", "deberta-v2", "deberta-v3"])
def test_both_deberta_heads(name: str) -> None:
    for legacy in (True, False):
        model = tiny_model(name, "eager", legacy=legacy)
        inputs = batch(name, LENGTHS)
        ours = prompted(registry.family(model.config)(model), [])(inputs)
        torch.testing.assert_close(real(ours.logits, inputs), real(model(**inputs).logits, inputs), **close)


# --- with prompts


@every
def test_prompts_change_logits_and_only_generators_train(name: str, attention: str) -> None:
    backbone = shared_backbone(name, attention)
    inputs = batch(name, LENGTHS)
    bare = prompted(backbone, [])(inputs).logits
    chooser = random.Random(name)
    for size in (1, 2, 3):
        layers = chooser.sample(range(backbone.num_layers), size)
        model = prompted(backbone, layers)
        logits = model(inputs).logits
        assert (real(logits, inputs) - real(bare, inputs)).abs().max() > 1e-3
        real(logits, inputs).square().mean().backward()
        for layer in layers:
            gradients = {key: p.grad for key, p in model.choices[layer].named_parameters()}
            assert all(g is not None and g.isfinite().all() for g in gradients.values())
            assert all(gradients[key].abs().max() > 0 for key in ("generator.bias", "generator.up.weights"))
        assert all(p.grad is None for p in backbone.parameters())
        assert all(key.startswith("choices.") for key, _ in trained(model))


@pytest.mark.parametrize("side", ["right", "left"])
@every
def test_more_padding_changes_nothing(name: str, attention: str, side: str) -> None:
    backbone = shared_backbone(name, attention)
    tight, padded = batch(name, LENGTHS, side), batch(name, LENGTHS, side, extra=5)
    for model in (
        prompted(backbone, [0, 2]),
        prompted(backbone, [0, 2], kind="offset"),
        gated(backbone, [0.3, -1.0, 0.5]),
        gated(backbone, [0.3, -1.0, 0.5], kind="offset"),
    ):
        torch.testing.assert_close(
            real(model(padded).features, padded), real(model(tight).features, tight), **close
        )


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("kind", ["pooled", "offset"])
def test_a_row_alone_equals_the_row_in_a_batch(kind: str, name: str) -> None:
    model = prompted(shared_backbone(name, attentions(name)[0]), [0, 1], kind=kind)
    for side in ("right", "left"):
        inputs = batch(name, LENGTHS, side)
        together = model(inputs).features
        for row, length in enumerate(LENGTHS):
            columns = slice(0, length) if side == "right" else slice(-length, None)
            alone = model({key: value[row : row + 1, columns] for key, value in inputs.items()}).features
            torch.testing.assert_close(together[row : row + 1, columns], alone, **close)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(("name", "attention"), [(n, a) for n, a in EVERY if n in CAUSAL])
def test_later_tokens_do_not_reach_earlier_ones(name: str, attention: str, side: str) -> None:
    backbone = shared_backbone(name, attention)
    assert backbone.causal
    inputs = batch(name, [9, 8], side)
    at = 5
    changed = dict(inputs)
    changed["input_ids"] = inputs["input_ids"].clone()
    changed["input_ids"][:, at:] = (changed["input_ids"][:, at:] + 7).clamp_max(VOCABULARY - 1)
    for model in (prompted(backbone, [0, 1], kind="free"), gated(backbone, [0.5, -0.5, 0.1], kind="free")):
        before, after = model(inputs).features, model(changed).features
        torch.testing.assert_close(after[:, :at], before[:, :at], **close)
        assert (after[:, at:] - before[:, at:]).abs().max() > 1e-3


def test_the_causal_families_are_those() -> None:
    assert {name for name in FAMILIES if shared_backbone(name, attentions(name)[0]).causal} == set(CAUSAL)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", [name for name in FAMILIES if len(attentions(name)) == 2])
def test_sdpa_equals_eager(name: str, side: str) -> None:
    fast, plain = shared_backbone(name, "sdpa"), shared_backbone(name, "eager")
    for lengths, layers in ((LENGTHS, [0, 2]), ([6, 6], [1])):
        inputs = batch(name, lengths, side)
        for one, other in (
            (prompted(fast, layers), prompted(plain, layers)),
            (gated(fast, [-0.5, 0.2, 1.5]), gated(plain, [-0.5, 0.2, 1.5])),
        ):
            torch.testing.assert_close(
                real(one(inputs).logits, inputs), real(other(inputs).logits, inputs), **close
            )


@pytest.mark.parametrize("name", WINDOWED)
def test_a_prompt_is_visible_beyond_the_window(name: str) -> None:
    backbone = shared_backbone(name, "sdpa")
    inputs = batch(name, [12, 12])
    last = backbone.num_layers - 1
    assert backbone.window is not None and backbone.window < 11
    bare = prompted(backbone, [])(inputs).features[:, -1]
    for layer in range(backbone.num_layers):
        with_one = prompted(backbone, [layer], length=1, kind="free")(inputs).features[:, -1]
        assert (with_one - bare).abs().max() > 1e-3
    hidden = torch.randn(1, 12, HIDDEN)
    mask = torch.ones(1, 12, dtype=torch.long)
    far = hidden.clone()
    far[:, 0] += 1
    frame = backbone.frame(hidden, mask, PromptState())
    torch.testing.assert_close(
        backbone.layer(last, hidden, frame)[:, -1], backbone.layer(last, far, frame)[:, -1], **close
    )


# --- presence


@every
def test_presence_zero_is_no_prompt_and_one_is_a_whole_one(name: str, attention: str) -> None:
    backbone = shared_backbone(name, attention)
    vectors = some_vectors()
    for layer, side in ((0, "right"), (1, "left"), (2, "right")):
        inputs = batch(name, LENGTHS, side)
        bare = real(prompted(backbone, [])(inputs).features, inputs)
        whole = real(with_prompt(backbone, layer, vectors, None)(inputs).features, inputs)
        expected = {0.0: (bare, 1e-5), 1e-9: (bare, 1e-4), 1 - 1e-6: (whole, 1e-4), 1.0: (whole, 1e-5)}
        for presence, (features, tolerance) in expected.items():
            model = with_prompt(backbone, layer, vectors, torch.tensor([presence]))
            torch.testing.assert_close(real(model(inputs).features, inputs), features, rtol=0, atol=tolerance)
        part = real(with_prompt(backbone, layer, vectors, torch.tensor([0.3]))(inputs).features, inputs)
        assert min((part - bare).abs().max(), (part - whole).abs().max()) > 1e-3


def without_positions(backbone: Backbone) -> Backbone:
    """Rotary and relative positions taken away, so that prompts at different places are the same."""
    for key, buffer in backbone.named_buffers():
        if key.endswith("inv_freq"):
            buffer.zero_()
    for key, parameter in backbone.named_parameters():
        if "rel_embeddings" in key:
            parameter.zero_()
    return backbone


@torch.no_grad()
@every
def test_two_half_prompts_are_one_whole_prompt(name: str, attention: str) -> None:
    backbone = without_positions(tiny_backbone(name, attention))
    inputs = batch(name, LENGTHS)
    vectors = some_vectors(1)
    for layer in range(backbone.num_layers):
        one = with_prompt(backbone, layer, vectors, None)(inputs).features
        halves = with_prompt(backbone, layer, vectors.expand(-1, 2, -1), torch.tensor([0.5]))(inputs).features
        torch.testing.assert_close(real(halves, inputs), real(one, inputs), **close)


@pytest.mark.parametrize("name", FAMILIES)
def test_presence_may_differ_by_row(name: str) -> None:
    backbone = shared_backbone(name, attentions(name)[0])
    inputs = batch(name, LENGTHS)
    presence = torch.tensor([0.0, 1.0, 0.4])
    together = with_prompt(backbone, 1, some_vectors(), presence)(inputs).features
    for row, length in enumerate(LENGTHS):
        one = {key: value[row : row + 1] for key, value in inputs.items()}
        alone = with_prompt(backbone, 1, some_vectors(), presence[row : row + 1])(one).features
        torch.testing.assert_close(together[row : row + 1, :length], alone[:, :length], **close)


@pytest.mark.parametrize("side", ["right", "left"])
@every
def test_gates_have_finite_gradients_also_where_closed(name: str, attention: str, side: str) -> None:
    backbone = shared_backbone(name, attention)
    inputs = batch(name, LENGTHS, side)
    for alphas in ([0.0, 0.0, 0.0], [-200.0, -40.0, 200.0]):
        model = gated(backbone, alphas)
        real(model(inputs).logits, inputs).square().mean().backward()
        gradients = [choice.alpha.grad for choice in model.choices]
        assert all(g is not None and g.isfinite().all() for g in gradients)
        if not any(alphas):
            assert all(g.abs().max() > 0 for g in gradients)
    model = gated(backbone, [0.0, 0.0, 0.0])
    model.choices[0].fixed = {"insert": 0.0}
    real(model(inputs).logits, inputs).square().mean().backward()
    assert model.choices[0].alpha.grad is None
    assert model.choices[1].alpha.grad.abs() > 0 and model.choices[2].alpha.grad.isfinite()


@every
def test_queries_that_see_nothing_are_finite(name: str, attention: str) -> None:
    inputs = batch(name, LENGTHS, "left", extra=4)
    empty = {**inputs, "attention_mask": torch.zeros_like(inputs["attention_mask"])}
    closed = [-200.0] * 3
    backbone = tiny_backbone(name, attention)
    for dtype in (torch.float32, torch.bfloat16):
        for model in (prompted(backbone, [0, 2]), gated(backbone, closed)):
            for given in (inputs, empty):
                assert model.to(dtype)(given).logits.isfinite().all()


def test_prompts_stand_before_the_first_token() -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 0, 0, 0]])
    places = joint_positions(mask, 2)
    assert places[0].tolist() == [-2, -1, 0, 0, 0, 1, 2]
    assert places[1, :4].tolist() == [-2, -1, 0, 1]


# --- the backbone itself


@pytest.mark.parametrize("name", FAMILIES)
def test_backbone_stays_frozen_and_in_evaluation_mode(name: str) -> None:
    backbone = tiny_backbone(name, attentions(name)[0])
    model = prompted(backbone, [1])
    model.train()
    assert model.training and model.choices[1].training
    assert not any(module.training for module in backbone.modules())
    assert not any(p.requires_grad for p in backbone.parameters())
    inputs = batch(name, LENGTHS)
    torch.testing.assert_close(model(inputs).logits, model.eval()(inputs).logits, rtol=0, atol=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_copy_is_a_model_of_its_own(name: str) -> None:
    attention = attentions(name)[0]
    inputs = batch(name, LENGTHS)
    backbone = tiny_backbone(name, attention)
    twin = copy.deepcopy(backbone)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.zero_()
    expected = gated(shared_backbone(name, attention), [0.1, 0.2, 0.3])(inputs).features
    torch.testing.assert_close(gated(twin, [0.1, 0.2, 0.3])(inputs).features, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_sizes_and_longest_text(name: str) -> None:
    backbone = shared_backbone(name, attentions(name)[0])
    assert (backbone.hidden_size, backbone.num_layers) == (HIDDEN, 3)
    assert backbone.max_length == (46 if isinstance(backbone, RobertaBackbone) else 48)
    longest = prompted(backbone, [0, 2])(batch(name, [backbone.max_length, 3]))
    assert longest.logits.isfinite().all()


@pytest.mark.parametrize("name", ["roberta", "xlm-roberta", "camembert"])
def test_one_layout_serves_the_roberta_relatives(name: str) -> None:
    assert type(shared_backbone(name, "sdpa")) is RobertaBackbone


# --- the registry


def test_every_registered_family_is_tested() -> None:
    encoder_decoders = {"t5", "mt5"}  # in test_t5.py
    assert {tiny.model_type for tiny in FAMILIES.values()} | encoder_decoders == set(registry.FAMILIES)


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError) as refusal:
        registry.family(AutoConfig.for_model("albert"))
    for text in ("'albert'", "CONTRIBUTING", *registry.FAMILIES):
        assert text in str(refusal.value)


@pytest.mark.parametrize("name", ["bert", "gpt2", "deberta-v3"])
def test_load_from_a_folder(name: str, tmp_path: Path) -> None:
    model = tiny_model(name, attentions(name)[0])
    model.save_pretrained(tmp_path)
    inputs = batch(name, LENGTHS)
    backbone = registry.load_backbone(str(tmp_path), language_model=True)
    torch.testing.assert_close(
        real(prompted(backbone, [])(inputs).logits, inputs), real(model(**inputs).logits, inputs), **close
    )
    fused = attentions(name)[0] == "sdpa"
    assert backbone.model.config._attn_implementation == (SDPA_ON_CPU_IN_32_BITS if fused else "eager")
    eager = registry.load_backbone(str(tmp_path), attention="eager", dtype=torch.bfloat16)
    assert eager.model.config._attn_implementation == "eager"
    assert eager.embed(inputs).dtype is torch.bfloat16
    with pytest.raises(AttributeError):
        eager.lm_logits(torch.zeros(1, HIDDEN))


def test_a_missing_language_model_head_is_refused(tmp_path: Path) -> None:
    AutoModel.from_config(FAMILIES["bert"].config()).save_pretrained(tmp_path)
    assert registry.load_backbone(str(tmp_path)).num_layers == 3
    with pytest.raises(InputError, match=r"lacks weights \(cls\.predictions.*Use a classification head"):
        registry.load_backbone(str(tmp_path), language_model=True)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    FAMILIES["bert"].config().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="weights cannot be read"):
        registry.load_backbone(str(tmp_path))


def test_no_such_backbone_is_refused() -> None:
    with pytest.raises(InputError, match="no-such/backbone"):
        registry.load_backbone("no-such/backbone")


@pytest.mark.parametrize(
    ("name", "option"),
    [("deberta", "relative_attention"), ("deberta", "talking_head"), ("deberta-v2", "relative_attention")],
)
def test_deberta_variants_without_an_exact_form_are_refused(name: str, option: str) -> None:
    value = option == "talking_head"
    with pytest.raises(InputError, match=f"{option} is {value}, but must be {not value}"):
        tiny_backbone(name, "eager", **{option: value})


@pytest.mark.parametrize("name", FAMILIES)
def test_a_skeleton_has_the_shapes_of_the_model_and_no_values(name: str, tmp_path: Path) -> None:
    model = tiny_model(name, "eager")
    model.config.save_pretrained(tmp_path)
    skeleton = registry.load_skeleton(str(tmp_path), language_model=True)
    shapes = {name: weight.shape for name, weight in model.named_parameters()}
    assert {name: weight.shape for name, weight in skeleton.model.named_parameters()} == shapes
    assert all(weight.is_meta for weight in skeleton.parameters())
    assert (skeleton.hidden_size, skeleton.num_layers) == (HIDDEN, model.config.num_hidden_layers)


@every
def test_a_skeleton_with_random_weights_takes_the_operations_of_the_model(
    name: str, attention: str, tmp_path: Path
) -> None:
    tiny_model(name, attention).to(torch.bfloat16).save_pretrained(tmp_path)
    random_state = torch.get_rng_state()
    options: dict[str, Any] = {"language_model": True, "attention": attention}
    loaded = registry.load_backbone(str(tmp_path), **options)
    skeleton = registry.load_skeleton(str(tmp_path), device="cpu", **options)
    assert torch.equal(torch.get_rng_state(), random_state)

    def operations(backbone: Backbone) -> int:
        model = with_prompt(backbone, 1, some_vectors().requires_grad_(), None)
        return flops(lambda: model(batch(name, LENGTHS)).logits.sum().backward())

    assert operations(skeleton) == operations(loaded)
    assert skeleton.dtype is loaded.dtype is torch.float32


def test_what_shuts_padding_out_stays_a_number_where_autocast_makes_16_bits_of_it() -> None:
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    bias = tiny_backbone("modernbert").bias(mask, EMPTY, torch.float32, window=1)
    assert bias is not None and bias.to(torch.bfloat16).isfinite().all()
