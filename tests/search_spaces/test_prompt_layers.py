"""The NNI space: labels, budget constraint, freezing over one shared backbone."""

import time

import pytest
import torch
from nni.mutable import MutableDict
from nni.mutable.exception import SampleValidationError
from nni.nas.nn.pytorch import LayerChoice
from nni.nas.space import RawFormatModelSpace, SimplifiedModelSpace, model_context
from numpy.random import RandomState

from search_spaces.budget import Budget
from search_spaces.prompt_layers import PROPAGATE, PromptLayerSpace, to_layers, to_sample
from spt.architecture import PromptLayers
from spt.build import ModelFactory
from spt.heads import ClassificationHead
from spt.model import PromptedModel
from spt.prompts.choices import InsertPrompt, Propagate
from spt.prompts.config import PromptConfig
from spt.prompts.kinds import INSERT
from tests.support.families import FAMILIES, batch, tiny_backbone

PROMPT = PromptConfig(length=3, bottleneck=8, phm_order=2)


def factory(name: str = "bert", layers: int = 4, seed: int = 0) -> ModelFactory:
    backbone = tiny_backbone(name, "eager", num_hidden_layers=layers)
    return ModelFactory(backbone, PROMPT, lambda: ClassificationHead(backbone.hidden_size, 3), seed)


def test_a_layer_choice_a_candidate_layer() -> None:
    space = PromptLayerSpace(factory(), Budget(4, 2, candidates=(1, 2, 3)))
    assert [isinstance(choice, LayerChoice) for choice in space.choices] == [False, True, True, True]
    assert list(space.simplify()) == ["layer_budget", "layer_1", "layer_2", "layer_3"]
    assert space.choices[1].names == [PROPAGATE, INSERT]


def test_samples_and_layers_are_each_others_inverse() -> None:
    budget = Budget(5, 2, candidates=(1, 2, 4))
    for layers in budget:
        assert to_layers(to_sample(layers, budget), budget) == layers


def test_a_thousand_samples_of_24_choose_4_hold_and_take_under_a_second() -> None:
    budget = Budget(24, 4)
    mutables = PromptLayerSpace(factory(layers=24), budget).simplify().values()
    random, start, samples = RandomState(0), time.process_time(), []
    for _ in range(1000):
        sample: dict[str, str] = {}
        for mutable in mutables:
            mutable.random(sample, random)
        samples.append(sample)
    # processor time: other work on the machine must not fail a test
    assert time.process_time() - start < 1
    assert all(to_layers(sample, budget) in budget for sample in samples)
    assert len({to_layers(sample, budget) for sample in samples}) > 900


def test_nni_enumerates_the_budget_and_nothing_else() -> None:
    budget = Budget(6, 2)
    grid = MutableDict(PromptLayerSpace(factory(layers=6), budget).simplify()).grid()
    assert [to_layers(sample, budget) for sample in grid] == list(budget)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"layer_0": INSERT, "layer_1": INSERT, "layer_2": INSERT}, "exactly 2 of"),
        ({"layer_0": INSERT, "layer_1": INSERT}, "layer_2"),
        ({"layer_0": INSERT, "layer_1": INSERT, "layer_2": "skip"}, "skip"),
    ],
)
def test_a_sample_outside_the_budget_is_refused(sample: dict[str, str], message: str) -> None:
    space = PromptLayerSpace(factory(layers=3), Budget(3, 2))
    with pytest.raises(SampleValidationError, match=message):
        space.freeze(sample)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_freezing_gives_the_discrete_model(name: str) -> None:
    models = factory(name, layers=3)
    budget = Budget(3, 2)
    space = PromptLayerSpace(models, budget)
    frozen = space.freeze(to_sample(PromptLayers.of((0, 2), 3), budget))
    assert [type(choice) for choice in frozen.choices] == [InsertPrompt, Propagate, InsertPrompt]
    rows = batch(name, [6, 4])
    expected = models.model(PromptLayers.of((0, 2), 3))(rows).logits
    assert torch.equal(frozen(rows).logits, expected)


def test_a_hundred_candidates_share_one_backbone_and_have_weights_of_their_own() -> None:
    budget = Budget(8, 3)
    space = PromptLayerSpace(factory(layers=8), budget)
    random = RandomState(0)
    candidates = [space.freeze(to_sample(budget.sample(random), budget)) for _ in range(100)]
    assert {id(model.backbone) for model in candidates} == {id(space.backbone)}
    weights = [p for model in candidates for p in model.head.parameters()]
    assert len({p.data_ptr() for p in weights}) == len(weights)


def test_nnis_own_formats_build_the_same_model() -> None:
    budget = Budget(4, 1)
    space = PromptLayerSpace(factory(), budget)
    sample = to_sample(PromptLayers.of((2,), 4), budget)
    for form in (RawFormatModelSpace.from_model(space), SimplifiedModelSpace.from_model(space)):
        model = form.freeze(sample).executable_model()
        assert isinstance(model, PromptedModel)
        assert model.first_prompt_layer == 2
        assert model.backbone is space.backbone
    with model_context(sample):
        assert PromptLayerSpace(space.factory, budget).first_prompt_layer == 2


def test_the_seed_decides_the_initial_weights() -> None:
    sample = to_sample(PromptLayers.of((1,), 4), Budget(4, 1))
    first, again, other = (
        PromptLayerSpace(factory(seed=seed), Budget(4, 1)).freeze(sample).choices[1].generator.bias
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
