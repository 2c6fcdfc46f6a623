"""Baselines: published sizes, where they start, what trains, and that the project's loop trains them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.baselines.methods import BASELINES, baseline_model
from benchmarks.baselines.run import run_baseline
from spt.build import ModelFactory
from spt.errors import InputError, TrialFailed
from spt.heads import ClassificationHead
from spt.model import PromptedModel, trained
from spt.prompts.choices import InsertPrompt
from spt.prompts.config import PromptConfig
from spt.prompts.generators import FreePrompt
from spt.prompts.state import EMPTY
from tests.support.families import HIDDEN, TokenLogits, attentions, batch, tiny_backbone, tiny_model
from tests.support.runs import tiny_config

LAYERS, INNER, CLASSES = 3, 40, 2
LENGTHS = [7, 3, 5]
INSIDE = ["full", "bitfit", "lora", "lora_upper", "ia3", "ia3_upper", "adapters"]
RATES = {
    "full": 3e-3,
    **dict.fromkeys(("lora", "lora_upper"), 2e-2),
    **dict.fromkeys(("ia3", "ia3_upper"), 5e-2),
    "prefix_tuning": 3e-2,
}


def factory(name: str = "bert", head: Any = None, seed: int = 0) -> ModelFactory:
    backbone = tiny_backbone(name, attentions(name)[0])
    make = (lambda: head(backbone)) if head else (lambda: ClassificationHead(HIDDEN, CLASSES))
    return ModelFactory(backbone, PromptConfig(), make, seed)


def made(method: str, name: str = "bert", size: int | None = None) -> PromptedModel:
    return baseline_model(method, factory(name), size)


def inside(model: PromptedModel) -> int:
    return sum(p.numel() for name, p in trained(model) if not name.startswith("head."))


def feed_forward_biases(layers: int) -> int:
    """Of BERT: four projections and two norms of H, and the feed-forward's inner and outer biases."""
    return layers * (6 * HIDDEN + INNER + HIDDEN)


@pytest.mark.parametrize(
    ("method", "size", "expected"),
    [
        ("lora", 4, LAYERS * 2 * 4 * (HIDDEN + HIDDEN)),
        ("lora", None, LAYERS * 2 * 8 * (HIDDEN + HIDDEN)),
        ("ia3", None, LAYERS * (HIDDEN + HIDDEN + INNER)),
        ("adapters", 5, LAYERS * 2 * (2 * HIDDEN * 5 + 5 + HIDDEN)),
        ("prefix_tuning", 6, LAYERS * 2 * 6 * HIDDEN),
        ("p_tuning_mlp", 6, 6 * HIDDEN + 3 * (HIDDEN * HIDDEN + HIDDEN)),
        (
            "p_tuning_lstm",
            6,
            # per LSTM layer and direction: 4 gates of input, state and two biases; then the MLP on both
            6 * HIDDEN
            + 2 * 4 * HIDDEN * (HIDDEN + HIDDEN + 2)
            + 2 * 4 * HIDDEN * (2 * HIDDEN + HIDDEN + 2)
            + (2 * HIDDEN) ** 2
            + 2 * HIDDEN
            + 2 * HIDDEN * HIDDEN
            + HIDDEN,
        ),
    ],
)
def test_sizes_are_those_of_the_formulas(method: str, size: int | None, expected: int) -> None:
    assert inside(made(method, size=size)) == expected


@pytest.mark.parametrize(
    ("method", "size", "a_layer"),
    [("lora_upper", 4, 2 * 4 * (HIDDEN + HIDDEN)), ("ia3_upper", None, 2 * HIDDEN + INNER)],
)
def test_upper_ones_are_in_layers_from_the_middle_on(method: str, size: int | None, a_layer: int) -> None:
    made_of = made(method, size=size)
    names = {name for name, _ in trained(made_of)}
    layers = {layer for layer in range(LAYERS) if any(f".layer.{layer}." in name for name in names)}
    assert layers == {1, 2}
    assert inside(made_of) == 2 * a_layer


def test_bitfit_is_the_biases_and_full_is_everything() -> None:
    transformer = {n: p for n, p in tiny_model("bert").named_parameters() if "pooler" not in n}
    heads = sum(p.numel() for n, p in transformer.items() if n.startswith("cls") and n.endswith("bias"))
    assert inside(made("bitfit")) == feed_forward_biases(LAYERS) + HIDDEN + heads
    assert inside(made("full")) == sum(p.numel() for p in transformer.values())


@pytest.mark.parametrize("name", ["roberta", "electra", "distilbert", "deberta-v3", "gpt2", "llama", "qwen2"])
def test_adapters_stand_twice_in_every_layer_of_each_family(name: str) -> None:
    assert inside(made("adapters", name, size=4)) == LAYERS * 2 * (2 * HIDDEN * 4 + 4 + HIDDEN)


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "llama"])
@pytest.mark.parametrize("method", INSIDE)
@torch.no_grad()
def test_methods_inside_the_backbone_start_as_the_stock_model(method: str, name: str) -> None:
    model = baseline_model(method, factory(name, TokenLogits)).eval()
    inputs = batch(name, LENGTHS)
    real = inputs["attention_mask"].bool()
    stock = tiny_model(name, attentions(name)[0])(**inputs).logits
    torch.testing.assert_close(model(inputs).logits[real], stock[real], rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", BASELINES)
def test_a_step_moves_what_trains_and_only_that(method: str) -> None:
    model = made(method)
    model(batch("bert", LENGTHS)).logits[:, 0].square().sum().backward()
    names = {name for name, _ in trained(model)}
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert moved <= names
    assert {name for name, p in model.named_parameters() if p.requires_grad} == names
    assert any(not name.startswith("head.") for name in moved)
    if method == "full":
        assert any("word_embeddings" in name for name in moved)


@pytest.mark.parametrize("method", [*INSIDE, "prefix_tuning"])
def test_the_backbones_dropout_is_on_while_these_train(method: str) -> None:
    model, inputs = made(method), batch("bert", LENGTHS)
    with torch.no_grad():
        assert not torch.equal(model(inputs).logits, model(inputs).logits)
        model.eval()
        assert torch.equal(model(inputs).logits, model(inputs).logits)


@torch.no_grad()
def test_p_tuning_is_a_free_prompt_that_a_network_makes() -> None:
    for method in ("p_tuning_mlp", "p_tuning_lstm"):
        model = made(method, size=4).eval()
        free = FreePrompt(HIDDEN, PromptConfig(generator="free", length=4))
        encoder = model.choices[0].generator
        free.vectors.copy_(encoder.encoder(encoder.indices[None])[0])
        inputs = batch("bert", LENGTHS)
        plain = PromptedModel(model.backbone, [InsertPrompt(free), *model.choices[1:]], model.head)
        torch.testing.assert_close(model(inputs).logits, plain(inputs).logits)


@torch.no_grad()
def test_prefix_tuning_gives_every_layer_keys_and_values_before_the_tokens() -> None:
    model = made("prefix_tuning", size=4).eval()
    bert = tiny_model("bert")
    vectors = model.wrapped.prompt_encoder["default"].embedding.weight
    learned = vectors.view(4, LAYERS, 2, 4, HIDDEN // 4)
    inputs = batch("bert", [6])
    # the tokens stand behind the prefix, as peft has it
    places = torch.arange(4, 10)[None]
    states = bert.bert.embeddings(inputs["input_ids"], inputs["token_type_ids"], places)
    for index, layer in enumerate(bert.bert.encoder.layer):
        attention = layer.attention.self
        query, key, value = (
            part(states)[0].view(6, 4, HIDDEN // 4).transpose(0, 1)
            for part in (attention.query, attention.key, attention.value)
        )
        key = torch.cat([learned[:, index, 0].transpose(0, 1), key], 1)
        value = torch.cat([learned[:, index, 1].transpose(0, 1), value], 1)
        mixed = (query @ key.transpose(1, 2) / (HIDDEN // 4) ** 0.5).softmax(-1) @ value
        attended = layer.attention.output(mixed.transpose(0, 1).reshape(1, 6, HIDDEN), states)
        states = layer.output(layer.intermediate(attended), attended)
    expected = model.head(states, inputs, EMPTY).logits
    torch.testing.assert_close(model(inputs).logits, expected, rtol=0, atol=1e-5)


def test_the_seed_decides_where_a_baseline_starts() -> None:
    def start(seed: int) -> torch.Tensor:
        model = baseline_model("lora", factory(seed=seed))
        return torch.cat([p.detach().flatten() for _, p in trained(model)])

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))


def test_what_does_not_suit_is_refused() -> None:
    with pytest.raises(InputError, match=r"Unknown baseline 'lorra'. Did you mean 'lora'"):
        made("lorra")
    with pytest.raises(InputError, match="size of the baseline 'bitfit' is 3, but must be left out"):
        made("bitfit", size=3)
    with pytest.raises(InputError, match="size of the baseline 'lora' is 0, but must be at least 1"):
        made("lora", size=0)
    with pytest.raises(TrialFailed, match="A deberta takes no keys and values from outside"):
        made("prefix_tuning", "deberta")
    with pytest.raises(TrialFailed, match=r"Where a modernbert has its projections .* one of bert, roberta"):
        made("adapters", "modernbert")


@pytest.mark.slow
@pytest.mark.parametrize("method", BASELINES)
def test_each_baseline_learns_the_tiny_task_and_is_read_back(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {"epochs": 16, "patience": 16, "batch_size": 8, "learning_rate": RATES.get(method, 1e-2)}
    config = tiny_config(tmp_path, training=training)
    metrics = run_baseline(config, method, tmp_path / "run")
    # a random backbone gives a prompt at its input little to work with
    assert metrics["dev_metric"] >= (0.7 if method.startswith("p_tuning") else 0.8)
    assert metrics["bytes"] >= 4 * metrics["tunable_parameters"]
    assert metrics["total_flops"] > 0 and metrics["learning_rate"] == training["learning_rate"]
    monkeypatch.setattr("benchmarks.baselines.run.fit", None)
    assert run_baseline(config, method, tmp_path / "run") == metrics
    other = next(name for name in BASELINES if name != method)
    with pytest.raises(InputError, match="holds the baseline"):
        run_baseline(config, other, tmp_path / "run")


def test_a_baseline_is_not_refused_for_prompts_and_states_that_it_does_not_have(tmp_path: Path) -> None:
    unused = {"prompt": {"phm_order": 5}, "cache": "disk", "cache_gb": 1e-9}
    config = tiny_config(tmp_path, **unused, training={"epochs": 1})
    assert run_baseline(config, "bitfit", tmp_path / "run")["train_epochs"] == 1
