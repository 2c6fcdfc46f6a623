"""Generators: their formula, their size, what trains, and the seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from spt.errors import InputError
from spt.prompts.config import PromptConfig, prompt_as_written
from spt.prompts.generators import GENERATORS, new_generator
from spt.prompts.pooling import POOLERS

HIDDEN = 16
KINDS = list(GENERATORS)


def config(**changes: Any) -> PromptConfig:
    own = {"length": 3, "bottleneck": 8, "phm_order": 2, "zero_start": False, "token_offset": False}
    return PromptConfig(**{**own, **changes})


def inputs(side: str = "right") -> tuple[Tensor, Tensor]:
    """Hidden states [2, 6, H] of 6 and 4 real tokens."""
    hidden = torch.randn(2, 6, HIDDEN, generator=torch.Generator().manual_seed(5))
    mask = torch.ones(2, 6, dtype=torch.long)
    mask[1, 4:] = 0
    return (hidden, mask) if side == "right" else (hidden, mask.flip(1))


def count(config: PromptConfig, hidden: int) -> int:
    return sum(p.numel() for p in new_generator(hidden, config, seed=0).parameters())


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("kind", ["pooled", "naive"])
def test_without_a_position_bias_each_position_loses_its_own(kind: Any, order: int) -> None:
    with_bias, without = (
        config(generator=kind, phm_order=order, position_bias=bias) for bias in (True, False)
    )
    assert count(with_bias, HIDDEN) - count(without, HIDDEN) == 3 * HIDDEN
    hidden, mask = inputs()
    made = new_generator(HIDDEN, without, seed=0)
    assert made(torch.zeros_like(hidden), mask).unique(dim=1).shape[1] == 1 or kind == "naive"


@pytest.mark.parametrize(
    ("length", "width", "expected"), [(5, 128, 791_680), (5, 256, 1_578_240)], ids=["128", "256"]
)
def test_naive_generator_has_the_size_of_lpts(length: int, width: int, expected: int) -> None:
    naive = PromptConfig(generator="naive", length=length, bottleneck=width, phm_order=1, token_offset=False)
    assert count(naive, 1024) == expected


@pytest.mark.parametrize(
    ("width", "order", "expected"), [(128, 1, 263_296), (256, 1, 525_568), (128, 8, 34_944), (64, 16, 17_472)]
)
@pytest.mark.parametrize("pooler", ["average", "max", "first"])
def test_pooled_generator_has_the_size_of_lpts_and_our_bias(
    pooler: Any, width: int, order: int, expected: int
) -> None:
    pooled = PromptConfig(pooler=pooler, length=10, bottleneck=width, phm_order=order, token_offset=False)
    assert count(pooled, 1024) == expected + 10 * 1024


def test_attention_pooler_adds_a_query_a_position() -> None:
    attention, average = config(pooler="attention", length=5), config(length=5)
    assert count(attention, HIDDEN) - count(average, HIDDEN) == 5 * 8


def test_free_prompt_is_its_vectors_alone() -> None:
    assert count(PromptConfig(generator="free", length=20), 1024) == 20_480


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
@pytest.mark.parametrize("pooler", POOLERS)
def test_pooled_formula(pooler: Any, activation: Any) -> None:
    hidden, mask = inputs()
    made = new_generator(HIDDEN, config(pooler=pooler, activation=activation), seed=0)
    down = hidden @ made.down.weight() + made.down.bias
    middle = getattr(torch.nn.functional, activation)(made.pool(down, mask))
    expected = middle @ made.up.weight() + made.up.bias + made.bias
    torch.testing.assert_close(made(hidden, mask), expected)


@pytest.mark.parametrize("side", ["right", "left"])
def test_naive_formula_reads_the_first_real_token(side: str) -> None:
    hidden, mask = inputs(side)
    made = new_generator(HIDDEN, config(generator="naive", phm_order=1), seed=0)
    first = torch.stack([row[keep][0] for row, keep in zip(hidden, mask.bool(), strict=True)])
    middle = (first @ made.down.weight.T + made.down.bias).relu()
    flat = middle @ made.up.weight.T + made.up.bias
    torch.testing.assert_close(made(hidden, mask), flat.reshape(2, 3, HIDDEN))


def test_free_prompt_is_the_same_for_every_instance() -> None:
    hidden, mask = inputs()
    made = new_generator(HIDDEN, config(generator="free"), seed=0)
    prompt = made(hidden, mask)
    assert prompt.shape == (2, 3, HIDDEN)
    assert torch.equal(prompt[0], made.vectors)
    assert torch.equal(prompt[1], made.vectors)


@pytest.mark.parametrize("kind", ["pooled", "naive"])
def test_generated_prompts_depend_on_the_instance_alone(kind: Any) -> None:
    hidden, mask = inputs()
    made = new_generator(HIDDEN, config(generator=kind), seed=0)
    before = made(hidden, mask)
    hidden[1] += 1
    after = made(hidden, mask)
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1])


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_reaches_every_parameter(kind: Any) -> None:
    made = new_generator(HIDDEN, config(generator=kind, pooler="attention"), seed=0)
    made(*inputs()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("kind", ["pooled", "naive"])
def test_from_a_zero_start_a_generated_prompt_begins_as_its_bias(kind: Any, order: int, shared: bool) -> None:
    zero = config(generator=kind, phm_order=order, zero_start=True)
    common = new_generator(HIDDEN, zero.model_copy(update={"position_bias": False}), 1) if shared else None
    made = new_generator(HIDDEN, zero, 0, common)
    prompt = made(*inputs())
    assert torch.equal(prompt, made.free_vectors.view(1, 3, HIDDEN).expand(2, -1, -1))
    assert prompt.std().item() == pytest.approx(0.5, rel=0.3)
    (up,) = (module.up for module in made.modules() if hasattr(module, "up"))
    weights = up.weight if order == 1 else up.weights
    prompt.square().sum().backward()
    assert weights.grad.abs().sum() > 0
    with torch.no_grad():
        weights -= 0.1 * weights.grad
    assert not torch.allclose(*made(*inputs()))


def test_a_zero_start_changes_nothing_else_that_is_drawn() -> None:
    zero, random = (new_generator(HIDDEN, config(zero_start=start), seed=0) for start in (True, False))
    assert torch.equal(zero.bias, random.bias)
    assert torch.equal(zero.down.weights, random.down.weights)


def test_what_a_program_wrote_before_there_was_a_zero_start_starts_at_random() -> None:
    written = PromptConfig().model_dump(exclude={"zero_start"})
    assert not prompt_as_written(written)["zero_start"]
    assert prompt_as_written({**written, "zero_start": True})["zero_start"]
    assert prompt_as_written({"length": 5}) == {"length": 5}
    # what a user writes out has the defaults of today
    assert PromptConfig(**written).zero_start


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_weights_and_leaves_the_global_state_alone(kind: Any) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    one, same, other = (new_generator(HIDDEN, config(generator=kind), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [torch.cat([p.flatten() for p in made.parameters()]) for made in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_works_while_training_only(kind: Any) -> None:
    made = new_generator(HIDDEN, config(generator=kind, dropout=0.5), seed=0)
    made.train()
    assert not torch.equal(made(*inputs()), made(*inputs()))
    made.eval()
    assert torch.equal(made(*inputs()), made(*inputs()))


@pytest.mark.parametrize("kind", ["pooled", "free"])
def test_init_std_is_the_spread_of_the_start(kind: Any) -> None:
    made = new_generator(256, config(generator=kind, length=32, init_std=0.2), seed=0)
    start = made.bias if kind == "pooled" else made.vectors
    assert start.std().item() == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize("kind", ["pooled", "naive"])
def test_an_order_that_does_not_fit_is_refused(kind: Any) -> None:
    with pytest.raises(InputError, match="PHM order is 3"):
        new_generator(HIDDEN, config(generator=kind, phm_order=3), seed=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"generator": "dense"},
        {"length": 0},
        {"length": 513},
        {"bottleneck": 0},
        {"phm_order": 0},
        {"pooler": "mean"},
        {"activation": "selu"},
        {"dropout": 1.0},
        {"init_std": 0.0},
        {"width": 3},
        {"init": "words"},
        {"combine": "multiply"},
        {"init": "vocabulary"},
        {"init": "labels", "generator": "free", "place": "template"},
        {"position_bias": False, "generator": "free"},
        {"zero_start": True, "position_bias": False},
        {"token_offset": True, "generator": "free"},
        {"shared": True, "generator": "free"},
        {"place": "template"},
        {"place": "template", "generator": "free", "combine": "add"},
    ],
    ids=str,
)
def test_a_wrong_config_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PromptConfig(**wrong)
