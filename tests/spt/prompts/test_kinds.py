"""Kinds of what a layer gets: names, the prompts they make, and their exact mixture."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spt.architecture import PromptLayers
from spt.build import ModelFactory
from spt.errors import InputError
from spt.model import PromptedModel, trained
from spt.prompts.choices import GatedPrompt, InsertPrompt, Propagate, ScaleTokens
from spt.prompts.config import PromptConfig
from spt.prompts.generators import scaling_generator
from spt.prompts.kinds import KINDS, Kind, prompt_of
from spt.prompts.state import EMPTY, PromptState
from tests.support.families import EVERY, FAMILIES, HIDDEN, TokenLogits, attentions, batch, shared_backbone
from tests.support.tiny import tiny_workbench

LAYERS = 3
PROMPT = PromptConfig(length=3, bottleneck=8, phm_order=4, zero_start=False, token_offset=False)
# every base, and prompts longer and shorter than the section's
NAMES = ("insert_2", "free", "free_5", "generated_4", "generated_offset", "scaling")


@pytest.mark.parametrize(
    ("name", "kind", "title"),
    [
        ("insert", Kind("insert", None), ""),
        ("insert_20", Kind("insert", 20), "20 vectors"),
        ("free", Kind("free", None), "free"),
        ("generated_offset_1", Kind("generated_offset", 1), "generated + offset, 1 vector"),
        ("scaling", Kind("scaling", None), "scaling"),
    ],
)
def test_a_name_is_read_and_written_for_people(name: str, kind: Kind, title: str) -> None:
    assert Kind.read(name) == kind
    assert kind.title == title


@pytest.mark.parametrize("name", ["", "fre", "free_", "free_0", "free_513", "scaling_3", "generated 4", "20"])
def test_another_name_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(InputError, match=rf"'{name}' is no kind .*insert, free, generated.* from 1 to 512"):
        Kind.read(name)


@pytest.mark.parametrize(
    ("prompt", "name", "changes"),
    [
        ({}, "insert", {}),
        ({}, "insert_7", {"length": 7}),
        ({"token_offset": True}, "generated", {"token_offset": False}),
        ({}, "generated_offset_5", {"token_offset": True, "length": 5}),
        ({"generator": "naive"}, "generated_offset", {"token_offset": True}),
        ({"generator": "free", "init": "labels"}, "generated", {"generator": "pooled", "init": "random"}),
        ({"generator": "free", "init": "labels"}, "free_4", {"length": 4}),
        ({"generator": "scaling"}, "generated", {"generator": "pooled"}),
        (
            {"shared": True, "token_offset": True},
            "free",
            {"shared": False, "token_offset": False, "generator": "free"},
        ),
        ({"combine": "add"}, "scaling", {"generator": "scaling"}),
    ],
    ids=str,
)
def test_a_kind_changes_the_sections_prompt(
    prompt: dict[str, Any], name: str, changes: dict[str, Any]
) -> None:
    section = PromptConfig(**{"token_offset": False, **prompt})
    made = prompt_of(name, section)
    assert made.model_dump() == {**section.model_dump(), **changes}


@pytest.mark.parametrize("name", [name for name in KINDS if name != "scaling"])
def test_what_a_kind_makes_is_a_prompt_that_may_be_asked_for(name: str) -> None:
    made = prompt_of(name, PromptConfig(token_offset=True))
    assert PromptConfig.model_validate(made.model_dump()) == made


def test_a_length_is_refused_where_the_section_gives_no_prompt() -> None:
    with pytest.raises(
        InputError, match=r"'insert_4' gives a layer 4 vectors, but prompt\.generator is scaling"
    ):
        prompt_of("insert_4", PromptConfig(generator="scaling"))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"combine": "add"}, "combine: add is for prompts, but generator is scaling"),
        ({"shared": True, "token_offset": True}, "shared: true, token_offset: true are for prompts"),
        ({"position_bias": False, "zero_start": False}, "position_bias: false is for prompts"),
        ({"init": "labels"}, "only a free prompt in front starts so"),
    ],
    ids=str,
)
def test_scaling_refuses_options_of_prompts(option: dict[str, Any], message: str) -> None:
    assert PromptConfig(generator="scaling").token_offset is False
    with pytest.raises(ValueError, match=message):
        PromptConfig(generator="scaling", **option)


def test_scaling_multiplies_every_token_by_factors_of_its_row() -> None:
    torch.manual_seed(0)
    hidden, mask = torch.randn(2, 5, HIDDEN), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    generator = scaling_generator(HIDDEN, PROMPT.model_copy(update={"phm_order": 1, "generator": "scaling"}))
    below = PromptState(torch.randn(2, 3, HIDDEN), torch.tensor([0.5]))
    after = ScaleTokens(generator)(below, hidden, mask)
    assert after.vectors is below.vectors
    assert after.presence is below.presence
    for row, tokens in enumerate((5, 3)):
        mean = generator.down(hidden[row, :tokens]).mean(0)
        factors = 1 + generator.up(mean.relu())
        torch.testing.assert_close(after.shifted(hidden)[row, :tokens], hidden[row, :tokens] * factors)
        assert torch.equal(after.shifted(hidden)[row, tokens:], hidden[row, tokens:])
    after.shifted(hidden).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in generator.parameters())


def test_scaling_starts_at_nothing_and_learns(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, prompt={"generator": "scaling", "bottleneck": 8, "zero_start": True})
    model = bench.factory.model(PromptLayers.of([1, 2], bench.num_layers))
    plain = bench.factory.model(PromptLayers.of([], bench.num_layers))
    inputs = next(iter(bench.batches("train", plain).loader))
    logits = model(inputs).logits
    assert torch.equal(logits, plain(inputs).logits)
    torch.nn.functional.cross_entropy(logits, inputs["labels"]).backward()
    ups = [p for name, p in model.named_parameters() if "choices" in name and ".up.weight" in name]
    assert len(ups) == 2
    assert all(up.grad.abs().max() > 0 for up in ups)


@torch.no_grad()
def test_a_layer_above_scaled_tokens_does_not_scale_them_again() -> None:
    """A prompt that never was is empty above the layer, whose shift is done with."""
    backbone, inputs = shared_backbone("bert", "sdpa"), batch("bert", [6, 4])
    scale = choices_by_name(backbone)["scaling"]
    hidden = backbone.embed(inputs)
    model = PromptedModel(backbone, [scale[0], Propagate(), Propagate()], TokenLogits(backbone))
    scaled = scale[0](EMPTY, hidden, inputs["attention_mask"]).shifted(hidden)
    frame = backbone.frame(hidden, inputs["attention_mask"], EMPTY)
    for layer in range(LAYERS):
        scaled = backbone.layer(layer, scaled, frame)
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(model(inputs).features[real], backbone.finish(scaled)[real])


def factory(backbone: Any, adds: bool = False, **changes: Any) -> ModelFactory:
    prompt = PROMPT.model_copy(update={"combine": "add" if adds else "replace", **changes})
    return ModelFactory(backbone, prompt, lambda: TokenLogits(backbone), seed=0)


def choices_by_name(backbone: Any, adds: bool = False) -> dict[str, dict[int, Any]]:
    """What every layer may get, with random weights everywhere: nothing is at its zero start."""
    made = factory(backbone, adds)
    choices = {name: made.inserts(range(LAYERS), name) for name in NAMES}
    generator = torch.Generator().manual_seed(0)
    for of_layers in choices.values():
        for choice in of_layers.values():
            for parameter in choice.parameters():
                parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
    return choices


def logits_of(backbone: Any, choices: list[Any], inputs: Any) -> Tensor:
    output = PromptedModel(backbone, choices, TokenLogits(backbone))(inputs)
    real = inputs["attention_mask"].bool()
    return torch.cat([output.logits[real], output.features[real]], -1)


def assert_relaxed_is_discrete(
    family: tuple[str, str], kinds: tuple[str | None, ...], adds: bool, inputs: dict[str, Tensor]
) -> None:
    backbone = shared_backbone(*family)
    made = choices_by_name(backbone, adds)
    relaxed = [GatedPrompt({name: made[name][layer] for name in NAMES}) for layer in range(LAYERS)]
    for gated, kind in zip(relaxed, kinds, strict=True):
        gated.alpha.data.copy_(torch.tensor([200.0 if name == kind else -200.0 for name in NAMES]))
    discrete = [made[kind][layer] if kind else Propagate() for layer, kind in enumerate(kinds)]
    expected = logits_of(backbone, discrete, inputs)
    torch.testing.assert_close(logits_of(backbone, relaxed, inputs), expected, rtol=0, atol=1e-5)
    for gated, kind in zip(relaxed, kinds, strict=True):
        gated.alpha.data.zero_()
        gated.fixed = {name: float(name == kind) for name in NAMES}
    torch.testing.assert_close(logits_of(backbone, relaxed, inputs), expected, rtol=0, atol=1e-5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    family=st.sampled_from(EVERY),
    kinds=st.tuples(*[st.sampled_from([None, *NAMES])] * LAYERS),
    adds=st.booleans(),
    lengths=st.lists(st.integers(1, 14), min_size=1, max_size=3),
    side=st.sampled_from(["right", "left"]),
    seed=st.integers(0, 99),
)
@torch.no_grad()
def test_gates_at_0_and_1_are_the_discrete_model_whatever_each_layer_gets(
    *, family: tuple[str, str], kinds: Any, adds: bool, lengths: list[int], side: str, seed: int
) -> None:
    assert_relaxed_is_discrete(family, kinds, adds, batch(family[0], lengths, side, 0, seed))


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_a_short_prompt_after_a_long_one_and_a_long_one_after_a_short_one(name: str, adds: bool) -> None:
    """The same without chance: in each, positions vanish or appear between layers."""
    family = (name, attentions(name)[0])
    for kinds in [
        ("free_5", "insert_2", "free_5"),
        ("insert_2", "scaling", "free_5"),
        (None, "free_5", "insert_2"),
    ]:
        assert_relaxed_is_discrete(family, kinds, adds, batch(name, [7, 3], "right", 1))


def test_the_shares_of_a_layers_choices_are_those_of_independent_gates_of_which_no_two_are_open() -> None:
    gated = GatedPrompt({name: Propagate() for name in "abc"})
    gated.alpha.data.copy_(torch.tensor([0.3, -1.0, 2.0]))
    gates = gated.gates().tolist()
    chances = {}
    for state in product([0, 1], repeat=3):
        chance = 1.0
        for gate, is_open in zip(gates, state, strict=True):
            chance *= gate if is_open else 1 - gate
        if sum(state) <= 1:
            chances[state] = chance
    total = sum(chances.values())
    expected = [chances[tuple(int(i == j) for j in range(3))] / total for i in range(3)]
    torch.testing.assert_close(gated.weights(gated.kinds), torch.tensor(expected))
    # where all others are pruned, a share is the gate
    torch.testing.assert_close(gated.weights(["c"]), gated.gates()[2:])


def test_a_mixture_of_lengths_is_lined_up_where_the_tokens_begin() -> None:
    below = PromptState(torch.full((1, 2, HIDDEN), 1.0), torch.tensor([0.5]))
    short, long = PromptState(torch.full((1, 1, HIDDEN), 4.0)), PromptState(torch.full((1, 3, HIDDEN), 10.0))
    mixed = below.mixed([(short, torch.tensor([0.25])), (long, torch.tensor([0.5]))])
    assert mixed.presence is not None
    assert mixed.presence.tolist() == [[0.5, 0.625, 0.875]]
    assert mixed.vectors is not None
    assert mixed.vectors[0, :, 0].tolist() == [5.0, 5.25, 6.25]
    kept = below.mixed(
        [(PromptState(below.vectors, below.presence, torch.ones(1, 4, HIDDEN)), torch.tensor([0.5]))]
    )
    assert kept.vectors is below.vectors
    assert kept.presence is below.presence
    assert kept.offset is not None
    assert kept.offset.unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("presence", "vectors", "after"),
    [
        (None, [1.0, 1.0, 5.0], None),
        ([0.5], [0.5, 0.5, 4.5], [[0.5, 0.5, 1.0]]),
        ([[0.0, 0.5, 1.0]], [0.0, 0.5, 5.0], [[0.0, 0.5, 1.0]]),
    ],
)
def test_a_shorter_prompt_joins_the_end_of_a_longer_one(presence: Any, vectors: Any, after: Any) -> None:
    below = PromptState(torch.ones(1, 3, HIDDEN), None if presence is None else torch.tensor(presence))
    added = below.added(torch.full((1, 1, HIDDEN), 4.0))
    assert added.vectors is not None
    assert added.vectors[0, :, 0].tolist() == vectors
    assert (None if added.presence is None else added.presence.tolist()) == after


def test_layers_and_kinds_are_sorted_together_and_nothing_is_written_where_there_are_none(
    tmp_path: Path,
) -> None:
    chosen = PromptLayers.of([4, 1], 6, ["free", "generated_20"])
    assert chosen == PromptLayers.of({1: "generated_20", 4: "free"}, 6)
    assert (chosen.layers, chosen.kinds) == ((1, 4), ("generated_20", "free"))
    assert chosen.name == "1_generated_20+4_free"
    assert chosen.text == "1 (generated, 20 vectors), 4 (free)"
    assert str(chosen) == "[1 (generated, 20 vectors), 4 (free)] of 6"
    chosen.save(tmp_path / "kinds.json")
    assert PromptLayers.load(tmp_path / "kinds.json") == chosen
    assert len({chosen, PromptLayers.of([1, 4], 6), PromptLayers.of([1, 4], 6, ["free", "free"])}) == 3
    plain = PromptLayers.of({1: "insert", 4: "insert"}, 6)
    assert plain == PromptLayers.of([1, 4], 6)
    plain.save(tmp_path / "plain.json")
    assert (tmp_path / "plain.json").read_text("utf-8") == '{"layers":[1,4],"total":6}\n'
    assert chosen.scaled(12).by_layer == {2: "generated_20", 8: "free"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"layers": [1, 4], "total": 6, "kinds": ["free"]}', "2 layers, but kinds of 1"),
        ('{"layers": [1], "total": 6, "kinds": ["none"]}', "'none' is no kind"),
    ],
)
def test_kinds_of_a_damaged_file_are_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "architecture.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        PromptLayers.load(path)


def test_kinds_of_an_unsorted_file_stay_with_their_layers(tmp_path: Path) -> None:
    path = tmp_path / "architecture.json"
    path.write_text('{"layers": [4, 1], "total": 6, "kinds": ["free", "scaling"]}', encoding="utf-8")
    assert PromptLayers.load(path).by_layer == {1: "scaling", 4: "free"}


def test_the_length_of_the_prompt_that_enters_each_layer_is_known() -> None:
    chosen = PromptLayers.of({1: "scaling", 2: "free_5", 4: "insert", 5: "scaling"}, 7)
    assert chosen.prompt_lengths(PROMPT) == (0, 0, 5, 5, 3, 3, 3)
    adds = PROMPT.model_copy(update={"combine": "add"})
    assert chosen.prompt_lengths(adds) == (0, 0, 5, 5, 5, 5, 5)


def test_the_factory_makes_what_each_layer_gets() -> None:
    made = factory(shared_backbone("bert", "sdpa"))
    model = made.model(PromptLayers.of({0: "free_5", 1: "scaling", 2: "generated_offset"}, LAYERS))
    assert [type(choice) for choice in model.choices] == [InsertPrompt, ScaleTokens, InsertPrompt]
    assert model.choices[0].generator.vectors.shape == (5, HIDDEN)
    assert [choice.offsets for choice in (model.choices[0], model.choices[2])] == [False, True]
    # a layer's start is its own, whatever the others get
    alone = made.model(PromptLayers.of({2: "generated_offset"}, LAYERS))
    assert torch.equal(alone.choices[2].generator.down.weights, model.choices[2].generator.down.weights)


def test_layers_of_one_kind_share_a_generator_where_asked_to() -> None:
    made = factory(shared_backbone("bert", "sdpa"), shared=True)
    model = made.model(PromptLayers.of({0: "generated", 1: "free", 2: "generated"}, LAYERS))
    assert model.choices[0].generator.shared is model.choices[2].generator.shared
    names = {name for name, _ in trained(model) if name.startswith("choices.2")}
    assert names == {"choices.2.generator.bias"}


@pytest.mark.parametrize("init", ["vocabulary", "labels"])
def test_a_free_prompt_of_another_length_starts_as_the_section_says(init: str, tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, prompt={"generator": "free", "init": init, "length": 3})
    section, longer = (bench.factory.inserts([1], name)[1].generator.vectors for name in ("insert", "free_4"))
    assert longer.shape[0] == 4
    words = bench.backbone.word_vectors(torch.arange(len(bench.tokenizer)))
    distances = torch.cdist(longer.detach(), words).amin(1)
    assert distances[1 if init == "labels" else 0 :].max() < 1e-4
    assert section.shape[0] == 3
