"""The factory: one backbone for all models, and initial weights that a seed and a layer decide."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spt.architecture import PromptLayers
from spt.build import ModelFactory
from spt.errors import InputError
from spt.heads import ClassificationHead
from spt.model import PromptedModel, trained
from spt.prompts.choices import InsertPrompt, Propagate
from spt.prompts.config import PromptConfig
from tests.support.families import HIDDEN, shared_backbone

PROMPT = PromptConfig(length=3, bottleneck=8, phm_order=4)
SHARED = PROMPT.model_copy(update={"shared": True})


def factory(seed: int = 0, prompt: PromptConfig = PROMPT, **options: Any) -> ModelFactory:
    backbone = shared_backbone("bert", "sdpa")
    return ModelFactory(backbone, prompt, lambda: ClassificationHead(HIDDEN, 2), seed, **options)


def flat(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.parametrize("layers", [[], [1], [0, 2]], ids=str)
def test_prompts_stand_at_the_layers_of_the_architecture(layers: list[int]) -> None:
    model = factory().model(PromptLayers.of(layers, 3))
    kinds = [InsertPrompt if layer in layers else Propagate for layer in range(3)]
    assert [type(choice) for choice in model.choices] == kinds


def test_a_hundred_models_share_one_backbone() -> None:
    made = factory()
    models = [made.model(PromptLayers.of([i % 3], 3)) for i in range(100)]
    assert {id(model.backbone) for model in models} == {id(made.backbone)}
    weights = {p.data_ptr() for model in models for p in model.backbone.parameters()}
    assert len(weights) == len({p.data_ptr() for p in made.backbone.parameters()})


def test_models_have_generators_and_heads_of_their_own() -> None:
    one, two = (factory().model(PromptLayers.of([1], 3)) for _ in range(2))
    with torch.no_grad():
        for _, parameter in trained(one):
            parameter.add_(1)
    assert all(not torch.equal(p, q) for (_, p), (_, q) in zip(trained(one), trained(two), strict=True))


def test_a_layer_starts_the_same_in_every_model_and_layers_differ() -> None:
    one, both = factory().model(PromptLayers.of([1], 3)), factory().model(PromptLayers.of([1, 2], 3))
    assert torch.equal(flat(one.choices[1]), flat(both.choices[1]))
    assert torch.equal(flat(one.head), flat(both.head))
    assert not torch.equal(flat(both.choices[1]), flat(both.choices[2]))


def test_the_seed_changes_generators_and_head() -> None:
    models: list[PromptedModel] = [factory(seed).model(PromptLayers.of([1], 3)) for seed in (0, 1)]
    assert not torch.equal(flat(models[0].choices[1]), flat(models[1].choices[1]))
    assert not torch.equal(flat(models[0].head), flat(models[1].head))


def test_neighbouring_seeds_and_layers_do_not_share_a_start() -> None:
    starts = [flat(insert) for seed in range(3) for insert in factory(seed).inserts(range(3)).values()]
    assert len({tuple(start.tolist()) for start in starts}) == 9


def test_making_models_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    factory().model(PromptLayers.of([0, 1], 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_layers_share_a_generator_within_one_model_only() -> None:
    one, two = (factory(prompt=SHARED).model(PromptLayers.of([0, 2], 3)) for _ in range(2))
    shared = [model.choices[layer].generator.shared for model in (one, two) for layer in (0, 2)]
    assert shared[0] is shared[1] and shared[2] is shared[3] and shared[0] is not shared[2]
    assert torch.equal(flat(shared[0]), flat(shared[2]))
    assert not torch.equal(one.choices[0].generator.bias, one.choices[2].generator.bias)
    alone = factory(prompt=SHARED).model(PromptLayers.of([2], 3))
    assert torch.equal(flat(alone.choices[2]), flat(one.choices[2]))


def test_what_is_shared_trains_and_is_saved_once() -> None:
    model = factory(prompt=SHARED).model(PromptLayers.of([0, 2], 3))
    names = {name for name, _ in trained(model) if name.startswith("choices")}
    weights = {name for name in names if ".shared." in name}
    assert names - weights == {"choices.0.generator.bias", "choices.2.generator.bias"}
    assert all(name.startswith("choices.0.") for name in weights)
    other = factory(1, SHARED).model(PromptLayers.of([0, 2], 3))
    other.load_state_dict({name: p.detach() for name, p in trained(model)}, strict=False)
    assert torch.equal(flat(other.choices[2]), flat(model.choices[2]))


def test_a_free_prompt_starts_where_it_is_told() -> None:
    free = PromptConfig(generator="free", length=3)
    model = factory(prompt=free, start=lambda seed, length: torch.full((length, HIDDEN), seed)).model(
        PromptLayers.of([0, 2], 3)
    )
    assert [model.choices[layer].generator.vectors.unique().item() for layer in (0, 2)] == [0, 2]


def test_a_prompt_among_the_words_is_at_the_input_alone() -> None:
    among = PromptConfig(generator="free", place="template")
    made = factory(prompt=among, place_id=1)
    assert made.model(PromptLayers.of([0], 3)).first_prompt_layer == 0
    for refused in (lambda: made.model(PromptLayers.of([1], 3)), lambda: made.inserts([0])):
        with pytest.raises(InputError, match=r"prompt\.place is template, which gives the input a prompt"):
            refused()
