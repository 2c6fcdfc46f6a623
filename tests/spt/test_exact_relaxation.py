"""The hyper-network with its gates at 0 and 1 is the discrete model of the same generators."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.families import EVERY, FAMILIES, attentions, batch, gated, prompted, shared_backbone

LAYERS = 3


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    family=st.sampled_from(EVERY),
    layers=st.sets(st.integers(0, LAYERS - 1)),
    prompt_length=st.integers(1, 6),
    lengths=st.lists(st.integers(1, 14), min_size=1, max_size=4),
    extra=st.integers(0, 3),
    side=st.sampled_from(["right", "left"]),
    kind=st.sampled_from(["pooled", "naive", "free", "offset"]),
    adds=st.booleans(),
    seed=st.integers(0, 99),
)
@example(
    family=("bert", "sdpa"),
    layers=set(),
    prompt_length=2,
    lengths=[5, 3],
    extra=0,
    side="right",
    kind="pooled",
    adds=True,
    seed=0,
)
@example(
    family=("deberta-v2", "eager"),
    layers={2},
    prompt_length=4,
    lengths=[6, 2],
    extra=1,
    side="right",
    kind="pooled",
    adds=True,
    seed=0,
)
@example(
    family=("modernbert", "sdpa"),
    layers={1},
    prompt_length=4,
    lengths=[12, 2],
    extra=0,
    side="left",
    kind="free",
    adds=False,
    seed=0,
)
@example(
    family=("llama", "sdpa"),
    layers={0, 1, 2},
    prompt_length=3,
    lengths=[4, 4],
    extra=2,
    side="left",
    kind="naive",
    adds=True,
    seed=0,
)
@torch.no_grad()
def test_gates_at_0_and_1_are_the_discrete_model(
    *,
    family: tuple[str, str],
    layers: set[int],
    prompt_length: int,
    lengths: list[int],
    extra: int,
    side: str,
    kind: str,
    adds: bool,
    seed: int,
) -> None:
    name, attention = family
    backbone = shared_backbone(name, attention)
    inputs = batch(name, lengths, side, extra, seed)
    alphas = [200.0 if layer in layers else -200.0 for layer in range(LAYERS)]
    relaxed = gated(backbone, alphas, prompt_length, kind, adds)(inputs)
    discrete = prompted(backbone, layers, prompt_length, kind, adds)(inputs)
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(relaxed.logits[real], discrete.logits[real], rtol=0, atol=1e-5)
    torch.testing.assert_close(relaxed.features[real], discrete.features[real], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "attention"), EVERY)
@torch.no_grad()
def test_fixed_gates_are_the_gates_they_stand_for(name: str, attention: str) -> None:
    backbone = shared_backbone(name, attention)
    inputs = batch(name, [6, 3])
    real = inputs["attention_mask"].bool()
    learned = gated(backbone, [0.4, -200.0, 200.0])
    fixed = gated(backbone, [0.4, 0.4, 0.4])
    fixed.choices[1].fixed, fixed.choices[2].fixed = {"insert": 0}, {"insert": 1}
    torch.testing.assert_close(fixed(inputs).logits[real], learned(inputs).logits[real], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kind", "adds"), [("pooled", False), ("pooled", True), ("offset", False)])
@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_all_eight_subsets_of_three_layers(name: str, kind: str, adds: bool) -> None:
    """The same without chance."""
    backbone = shared_backbone(name, attentions(name)[0])
    inputs = batch(name, [7, 3], "right", 1)
    real = inputs["attention_mask"].bool()
    for subset in range(2**LAYERS):
        layers = [layer for layer in range(LAYERS) if subset >> layer & 1]
        alphas = [200.0 if layer in layers else -200.0 for layer in range(LAYERS)]
        relaxed = gated(backbone, alphas, kind=kind, adds=adds)(inputs).logits[real]
        discrete = prompted(backbone, layers, kind=kind, adds=adds)(inputs).logits[real]
        torch.testing.assert_close(relaxed, discrete, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_between_0_and_1_it_is_neither(name: str) -> None:
    """The comparison above would hold for gates that do nothing; these do something."""
    backbone = shared_backbone(name, attentions(name)[0])
    inputs = batch(name, [7, 3])
    half = gated(backbone, [0.0, 0.0, 0.0])(inputs).features
    for layers in ([], [0, 1, 2]):
        assert (prompted(backbone, layers)(inputs).features - half).abs().max() > 1e-3
