"""DARTS and Gumbel-DARTS: how a layer mixes, and what their options change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import LayerChoice
from nni.nas.oneshot.pytorch.supermodule.differentiable import GumbelSoftmax
from nni.nas.space import RawFormatModelSpace
from torch import nn

from search_spaces.budget import Budget
from search_spaces.prompt_layers import PromptLayerSpace
from spt.architecture import PromptLayers
from spt.build import ModelFactory
from spt.evaluation import evaluate
from spt.flops import FlopCounter
from spt.heads import ClassificationHead
from spt.model import trained
from spt.prompts.config import PromptConfig
from spt.prompts.state import PromptState
from strategies.darts import Darts, GumbelDarts, SoftmaxLayer
from strategies.evaluator import new_evaluator
from strategies.hyper_network import GatedLayer, fixed_gates, gate_values, gated_layers, gates_for
from strategies.options import DartsOptions, GumbelDartsOptions
from tests.support.families import HIDDEN, batch, shared_backbone
from tests.support.tiny import tiny_workbench


def factory() -> ModelFactory:
    prompt = PromptConfig(length=2, bottleneck=4, phm_order=1)
    backbone = shared_backbone("bert", "sdpa")
    return ModelFactory(backbone, prompt, lambda: ClassificationHead(HIDDEN, 2), seed=0)


def hyper_network(strategy: Any, made: ModelFactory, logits: list[float] | None = None) -> PromptLayerSpace:
    space = PromptLayerSpace(made, Budget(3, 2))
    strategy.mutate_model(space)
    for choice in space.choices:
        assert isinstance(choice, SoftmaxLayer)
        if logits is not None:
            choice._arch_alpha.data = torch.tensor(logits)
    return space.eval()


def test_a_layer_mixes_prompts_by_the_softmax_of_two_logits() -> None:
    space = hyper_network(Darts(DartsOptions()), factory(), logits=[0.2, 1.2])
    gate = torch.tensor([0.2, 1.2]).softmax(-1)[1].item()
    assert gate_values(space) == pytest.approx(dict.fromkeys(range(3), gate))
    hidden, mask = torch.randn(3, 5, HIDDEN), torch.ones(3, 5)
    before = PromptState(torch.randn(3, 2, HIDDEN))
    layer = space.choices[1]
    new = gated_layers(space)[1].insert(before, hidden, mask)
    mixed = layer(before, hidden, mask)
    torch.testing.assert_close(mixed.vectors, (1 - gate) * before.vectors + gate * new.vectors)
    assert layer(PromptState(), hidden, mask).presence.item() == pytest.approx(gate)


@torch.no_grad()
def test_the_same_gates_make_the_same_network_as_spts() -> None:
    made, inputs = factory(), batch("bert", [5, 3])
    ours = hyper_network(Darts(DartsOptions()), made, logits=[0.0, 0.7])
    theirs = PromptLayerSpace(made, Budget(3, 2))
    for layer, choice in enumerate(theirs.choices):
        assert isinstance(choice, LayerChoice)
        theirs.choices[layer] = GatedLayer(choice)
        theirs.choices[layer].gated.alpha.data.fill_(0.7)
    torch.testing.assert_close(ours(inputs).logits, theirs.eval()(inputs).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("strategy", [Darts(DartsOptions()), GumbelDarts(GumbelDartsOptions())])
@pytest.mark.parametrize("layers", [(), (0,), (1, 2), (0, 1, 2)], ids=str)
@torch.no_grad()
def test_fixed_gates_are_the_discrete_model(strategy: Any, layers: tuple[int, ...]) -> None:
    made, inputs = factory(), batch("bert", [5, 3])
    space = hyper_network(strategy, made).train()
    with fixed_gates(space, gates_for(space, PromptLayers.of(layers, 3))):
        found = space(inputs).logits
    discrete = made.model(PromptLayers.of(layers, 3)).train()
    torch.testing.assert_close(found, discrete(inputs).logits, rtol=0, atol=1e-5)
    assert (space.eval()(inputs).logits - found).abs().max() > 1e-3


@torch.no_grad()
def test_kinds_keep_their_shares_where_others_are_pruned() -> None:
    space = PromptLayerSpace(factory(), Budget(3, 2, kinds=("free", "generated")))
    Darts(DartsOptions()).mutate_model(space)
    choice = space.choices[0]
    assert isinstance(choice, SoftmaxLayer)
    choice._arch_alpha.data = torch.tensor([0.0, 1.0, 2.0])
    free, generated = torch.tensor([0.0, 1.0, 2.0]).softmax(-1)[1:].tolist()
    for kinds, shares in {("free",): [free], ("generated",): [generated]}.items():
        assert choice.weights(kinds).tolist() == pytest.approx(shares)
    assert choice.weights(("free", "generated")).tolist() == pytest.approx([free, generated])


@torch.no_grad()
def test_gumbel_samples_in_training_only() -> None:
    space, inputs = hyper_network(GumbelDarts(GumbelDartsOptions()), factory()), batch("bert", [5, 3])
    assert torch.equal(space(inputs).logits, space(inputs).logits)
    space.train()
    assert not torch.allclose(space(inputs).logits, space(inputs).logits)
    assert gate_values(space) == dict.fromkeys(range(3), 0.5)


def test_only_choices_are_replaced() -> None:
    assert SoftmaxLayer.replace(nn.Linear(1, 1), "", {}, {}, nn.Softmax) is None


def searched(folder: Path, strategy: Any, epochs: int = 2) -> PromptLayerSpace:
    run = tiny_workbench(folder)
    space = PromptLayerSpace(run.factory, Budget(4, 2))
    evaluator = new_evaluator(
        run.batches("train", space, shuffled=True).loader,
        run.batches("dev", space).loader,
        run.spec.task,
        run.training.model_copy(update={"epochs": epochs}),
        seed=0,
        folder=folder / str(len(list(folder.iterdir()))),
    )
    strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
    return space


QUICK: dict[str, Any] = {"warmup_epochs": 0, "gate_learning_rate": 0.1}


def test_a_search_moves_both_logits_and_the_generators(tmp_path: Path) -> None:
    space = searched(tmp_path, Darts(DartsOptions(**QUICK)))
    for choice in space.choices:
        assert isinstance(choice, SoftmaxLayer)
        assert choice._arch_alpha.abs().min() > 1e-3
    fresh = dict(PromptLayerSpace(space.factory, space.budget).named_parameters())
    moved = {name for name, p in trained(space) if name in fresh and not torch.equal(p, fresh[name])}
    assert {f"choices.{layer}.insert.generator.bias" for layer in range(4)} <= moved


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_a_limit_holds_where_gates_begin_to_move(share: float, tmp_path: Path) -> None:
    warm, whole = (Darts(DartsOptions(warmup_epochs=1)) for _ in range(2))
    space = searched(tmp_path, warm, epochs=1)
    searched(tmp_path, whole)
    run = tiny_workbench(tmp_path)
    with FlopCounter() as last_score:
        evaluate(space, run.batches("dev", space).loader, run.spec.task)
    limit = warm.training_flops + share * (whole.training_flops - warm.training_flops)
    limited = Darts(DartsOptions(warmup_epochs=1), flops_limit=limit)
    searched(tmp_path, limited)
    assert warm.training_flops <= limited.training_flops <= limit + last_score.total
    # a step that moves gates fits in some of what the dearer limits leave
    assert (limited.training_flops > warm.training_flops) == (share > 0.1)


@pytest.mark.slow
def test_the_temperature_changes_the_search_and_falls(tmp_path: Path) -> None:
    options: list[dict[str, float]] = [{}, {"temperature": 5.0}, {"least_temperature": 1.0}]
    found = []
    for option in options:
        space = searched(tmp_path, GumbelDarts(GumbelDartsOptions(**QUICK, **option)))
        found.append(gate_values(space))
        assert not all(gate == 0.5 for gate in found[-1].values())
    (last,) = {module.tau for module in space.modules() if isinstance(module, GumbelSoftmax)}
    assert last == 1.0
    assert found[0] != found[1] != found[2] != found[0]
    cooled = searched(
        tmp_path, GumbelDarts(GumbelDartsOptions(**QUICK, temperature=2.0, least_temperature=1.0))
    )
    # the second of two epochs
    assert {m.tau for m in cooled.modules() if isinstance(m, GumbelSoftmax)} == {1.5}
