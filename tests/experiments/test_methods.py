"""The methods that are configurations of this model, each against its definition written out again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

from experiments.comparing.experiment_file import Experiment
from experiments.config import load_config
from spt.architecture import PromptLayers
from spt.build import ModelFactory
from spt.heads import LabelVectorsHead, VerbalizerHead
from spt.model import PromptedModel, trained
from spt.prompts.config import PromptConfig
from spt.prompts.generators import new_generator
from tests.support.families import HIDDEN, MASK_ID, WORDS, batch, tiny_backbone, tiny_model, with_mask

CONFIGS = Path("experiments/configs")
METHODS = ["prompt_tuning", "deep_prompts", "late_prompt", "lpt_naive", "lpt_average", "lpt_max"]
METHODS += ["idpg", "spt", "soft_words", "warp"]
LENGTHS = [9, 4, 6]
LAYERS = 3


def prompt_of(method: str, **changes: Any) -> PromptConfig:
    """The prompt of a method's shipped configuration, made small."""
    config = load_config(CONFIGS / "methods" / f"{method}.yml").prompt
    small = {"init": "random", "length": 3, **({} if config.generator == "free" else {"bottleneck": 16})}
    return PromptConfig.model_validate({**config.model_dump(), **small, **changes})


def model_of(prompt: PromptConfig, layers: list[int], head: Any = None) -> PromptedModel:
    """The model of a prompt over a tiny BERT, its weights away from zero."""
    backbone = tiny_backbone("bert")
    factory = ModelFactory(
        backbone, prompt, lambda: (head or VerbalizerHead)(backbone, WORDS, MASK_ID), 0, place_id=1
    )
    model = factory.model(PromptLayers.of(layers, LAYERS)).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _, p in trained(model):
            p.add_(torch.randn(p.shape, generator=generator), alpha=0.2)
    return model


def inputs() -> dict[str, Tensor]:
    return with_mask(batch("bert", LENGTHS), [4, 1, 3])


class Stock:
    """BERT's own modules, one row without padding at a time: what the papers' code does, written plainly."""

    def __init__(self) -> None:
        self.model = tiny_model("bert")
        self.bert = self.model.bert

    def embedded(self, row: int) -> Tensor:
        given = {name: value[row : row + 1, : LENGTHS[row]] for name, value in inputs().items()}
        return self.bert.embeddings(input_ids=given["input_ids"], token_type_ids=given["token_type_ids"])

    def layer(self, index: int, states: Tensor) -> Tensor:
        return self.bert.encoder.layer[index](states)

    def label_logits(self, row: int, tokens: Tensor) -> Tensor:
        at = [4, 1, 3][row]
        return self.model.cls(tokens)[0, at, WORDS]


def check(model: PromptedModel, by_hand: Any) -> None:
    """Compares logits, and sees that the prompt does something."""
    with torch.no_grad():
        ours = model(inputs()).logits
        stock = Stock()
        expected = torch.stack([by_hand(stock, row) for row in range(len(LENGTHS))])
        bare = torch.stack([stock.label_logits(row, plain(stock, row)) for row in range(len(LENGTHS))])
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert (expected - bare).abs().max() > 1e-2


def plain(stock: Stock, row: int) -> Tensor:
    states = stock.embedded(row)
    for index in range(LAYERS):
        states = stock.layer(index, states)
    return states


def late(model: PromptedModel, start: int, generate: Any) -> Any:
    """Late Prompt Tuning: below `start` no prompt, then [prompt; tokens] to the top."""

    def by_hand(stock: Stock, row: int) -> Tensor:
        states = stock.embedded(row)
        for index in range(start):
            states = stock.layer(index, states)
        prompt = generate(model.choices[start].generator, states)
        states = torch.cat([prompt[None], states], dim=1)
        for index in range(start, LAYERS):
            states = stock.layer(index, states)
        return stock.label_logits(row, states[:, len(prompt) :])

    return by_hand


def test_prompt_tuning_is_a_free_prompt_before_the_input() -> None:
    model = model_of(prompt_of("prompt_tuning"), [0])
    check(model, late(model, 0, lambda made, _: made.vectors))


@pytest.mark.parametrize("layer", range(LAYERS))
def test_late_prompt_without_a_generator(layer: int) -> None:
    model = model_of(prompt_of("late_prompt"), [layer])
    check(model, late(model, layer, lambda made, _: made.vectors))


@pytest.mark.parametrize("layer", range(LAYERS))
def test_lpt_naive_reads_the_first_token(layer: int) -> None:
    model = model_of(prompt_of("lpt_naive"), [layer])

    def npg(made: Any, states: Tensor) -> Tensor:
        return made.up(functional.relu(made.down(states[0, 0]))).reshape(-1, HIDDEN)

    check(model, late(model, layer, npg))


@pytest.mark.parametrize("layer", range(LAYERS))
@pytest.mark.parametrize(
    ("method", "pool"), [("lpt_average", nn.AdaptiveAvgPool1d), ("lpt_max", nn.AdaptiveMaxPool1d)]
)
def test_lpt_pools_between_its_projections(method: str, pool: Any, layer: int) -> None:
    model = model_of(prompt_of(method), [layer])

    def ppg(made: Any, states: Tensor) -> Tensor:
        return made.up(functional.relu(pool(3)(made.down(states[0]).T).T))

    check(model, late(model, layer, ppg))


def test_deep_prompts_replace_the_prompt_at_every_layer() -> None:
    model = model_of(prompt_of("deep_prompts"), [0, 1, 2])

    def by_hand(stock: Stock, row: int) -> Tensor:
        states = stock.embedded(row)
        for index in range(LAYERS):
            joined = torch.cat([model.choices[index].generator.vectors[None], states], dim=1)
            states = stock.layer(index, joined)[:, 3:]
        return stock.label_logits(row, states)

    check(model, by_hand)


def added(model: PromptedModel, generate: Any) -> Any:
    """A new prompt added to the states at the prompt's positions, layer by layer."""

    def by_hand(stock: Stock, row: int) -> Tensor:
        tokens = stock.embedded(row)
        prompt = torch.zeros(1, 3, HIDDEN)
        for index in range(LAYERS):
            prompt = prompt + generate(model.choices[index].generator, tokens)
            states = stock.layer(index, torch.cat([prompt, tokens], dim=1))
            prompt, tokens = states[:, :3], states[:, 3:]
        return stock.label_logits(row, tokens)

    return by_hand


def test_soft_words_add_an_offset_at_every_layer() -> None:
    model = model_of(prompt_of("soft_words"), [0, 1, 2])
    check(model, added(model, lambda made, _: made.vectors))


def kronecker(layer: Any, x: Tensor) -> Tensor:
    weight = sum(torch.kron(a, w) for a, w in zip(layer.rules, layer.weights, strict=True))
    return x @ weight + (0 if layer.bias is None else layer.bias)


def test_idpg_adds_what_one_generator_makes_plus_the_layers_bias() -> None:
    model = model_of(prompt_of("idpg"), [0, 1, 2])
    assert len({id(choice.generator.shared) for choice in model.choices}) == 1

    def generate(made: Any, tokens: Tensor) -> Tensor:
        middle = functional.relu(kronecker(made.shared.down, tokens[0, 0]))
        return kronecker(made.shared.up, middle).reshape(3, HIDDEN) + made.bias

    check(model, added(model, generate))


def test_warp_puts_vectors_among_the_words_and_learns_a_vector_a_class() -> None:
    model = model_of(prompt_of("warp", length=2), [0], LabelVectorsHead)
    given = inputs()
    given["input_ids"][:, [0, 2]] = 1  # the padding token keeps the places
    stock = tiny_model("bert")
    for row, length in enumerate(LENGTHS):
        alone = {name: value[row : row + 1, :length] for name, value in given.items()}
        states = stock.bert.embeddings(input_ids=alone["input_ids"], token_type_ids=alone["token_type_ids"])
        states[0, 0] += model.template_prompt.vectors[0]
        states[0, 2] += model.template_prompt.vectors[1]
        for index in range(LAYERS):
            states = stock.bert.encoder.layer[index](states)
        at = int((alone["input_ids"][0] == MASK_ID).nonzero())
        expected = stock.cls.predictions.transform(states[0, at]) @ model.head.vectors.T
        torch.testing.assert_close(model(given).logits[row], expected, rtol=0, atol=1e-5)
    model(given).logits.sum().backward()
    moved = {name for name, p in trained(model) if p.grad.abs().sum() > 0}
    assert moved == {"template_prompt.vectors", "head.vectors"}


# --- sizes, at H = 1024


def size(prompt: PromptConfig) -> int:
    return sum(p.numel() for p in new_generator(1024, prompt, seed=0).parameters())


@pytest.mark.parametrize(
    ("method", "changes", "expected"),
    [
        ("prompt_tuning", {"length": 20}, 20_480),
        ("late_prompt", {"length": 20}, 20_480),
        ("lpt_naive", {"length": 5, "bottleneck": 128}, 791_680),
        ("lpt_naive", {"length": 5, "bottleneck": 256}, 1_578_240),
        ("lpt_average", {"length": 10, "bottleneck": 128}, 263_296),
        ("lpt_average", {"length": 10, "bottleneck": 256}, 525_568),
        ("lpt_max", {"length": 10, "bottleneck": 128}, 263_296),
        ("lpt_max", {"length": 20, "bottleneck": 256}, 525_568),
        ("idpg", {"length": 5, "bottleneck": 16, "shared": False}, 19_472),
        ("idpg", {"length": 5, "bottleneck": 256, "shared": False}, 111_872),
    ],
)
def test_generators_have_the_published_sizes(method: str, changes: dict[str, Any], expected: int) -> None:
    assert size(prompt_of(method, **changes)) == expected


def test_idpg_over_layers_shares_all_but_a_bias_of_each() -> None:
    prompt = prompt_of("idpg", length=5, bottleneck=16)
    shared = new_generator(1024, prompt.model_copy(update={"position_bias": False}), seed=0)
    assert sum(p.numel() for p in shared.parameters()) == 14_352
    layers = nn.ModuleList([new_generator(1024, prompt, seed, shared) for seed in range(4)])
    assert sum(p.numel() for p in layers.parameters()) == 14_352 + 4 * 5_120
    unbiased = prompt.model_copy(update={"position_bias": False})
    assert new_generator(1024, unbiased, 0, shared) is shared


def test_dropout_of_lpt_is_the_last_thing() -> None:
    made = new_generator(HIDDEN, prompt_of("lpt_average", dropout=0.5), seed=0).train()
    prompt = made(torch.randn(4, 6, HIDDEN), torch.ones(4, 6, dtype=torch.long))
    assert 0.3 < (prompt == 0).float().mean() < 0.7


# --- the shipped files


@pytest.mark.parametrize("method", METHODS)
def test_each_method_has_a_configuration(method: str) -> None:
    assert load_config(CONFIGS / "methods" / f"{method}.yml").name == method


def test_no_configuration_of_a_method_is_untested() -> None:
    files = {path.stem for path in (CONFIGS / "methods").glob("*.yml")}
    assert files == {*METHODS, "prompt_length"}


def test_the_length_sweep_is_a_grid_of_runs() -> None:
    cells = Experiment.load(CONFIGS / "methods" / "prompt_length.yml").cells()
    space = yaml.safe_load((CONFIGS / "methods" / "prompt_length.yml").read_text())
    assert len(cells) == space["maxTrialNumber"] == 45
    assert {cell.config.prompt.length for cell in cells} == {1, 5, 20, 50, 100}


@pytest.mark.parametrize("path", sorted((CONFIGS / "large").glob("*.yml")), ids=lambda path: path.stem)
def test_configurations_of_large_backbones_have_lpts_settings(path: Path) -> None:
    config = load_config(path)
    assert config.name == path.stem
    assert config.search.manual_layers in ((12,), (18,))
    assert config.prompt.phm_order == 1
    assert config.prompt.dropout == 0.1
    assert size(config.prompt) == {"naive": 1_578_240, "pooled": 525_568}[config.prompt.generator]
