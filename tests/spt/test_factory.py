"""The factory: one backbone for all models, and initial weights that a seed and a layer decide."""

from __future__ import annotations

import pytest
import torch
from families import HIDDEN, shared_backbone
from torch import Tensor, nn

from spt.architecture import PromptLayers
from spt.factory import ModelFactory
from spt.heads import ClassificationHead
from spt.model import PromptedModel, trained
from spt.prompts.choices import InsertPrompt, Propagate
from spt.prompts.config import PromptConfig

PROMPT = PromptConfig(length=3, bottleneck=8, phm_order=4)


def factory(seed: int = 0) -> ModelFactory:
    return ModelFactory(shared_backbone("bert", "sdpa"), PROMPT, lambda: ClassificationHead(HIDDEN, 2), seed)


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
    starts = [flat(factory(seed).insert(layer)) for seed in range(3) for layer in range(3)]
    assert len({tuple(start.tolist()) for start in starts}) == 9


def test_making_models_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    factory().model(PromptLayers.of([0, 1], 3))
    assert torch.equal(torch.get_rng_state(), before)
