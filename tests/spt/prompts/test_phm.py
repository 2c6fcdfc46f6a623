"""PHM against an explicit sum of Kronecker products, in values, gradients and parameter counts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spt.errors import InputError
from spt.prompts.phm import PHMLinear, linear


def kron_sum(rules: Tensor, weights: Tensor) -> Tensor:
    """W [in, out], one Kronecker product after the other."""
    return sum(torch.kron(rule, weight) for rule, weight in zip(rules, weights, strict=True))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(order=st.integers(1, 6), inner=st.integers(1, 4), outer=st.integers(1, 4), seed=st.integers(0, 99))
def test_forward_and_gradients_are_those_of_the_kronecker_sum(
    order: int, inner: int, outer: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = PHMLinear(order * inner, order * outer, order).double()
    layer.bias.data.normal_()
    x = torch.randn(2, 3, order * inner, dtype=torch.double, requires_grad=True)
    inputs = [x, layer.rules, layer.weights, layer.bias]
    expected = x @ kron_sum(layer.rules, layer.weights) + layer.bias
    given_back = torch.randn_like(expected)
    torch.testing.assert_close(layer(x), expected)
    ours = torch.autograd.grad(layer(x), inputs, given_back)
    theirs = torch.autograd.grad(expected, inputs, given_back)
    for found, reference in zip(ours, theirs, strict=True):
        assert reference.abs().sum() > 0
        torch.testing.assert_close(found, reference)


# counts of both projections with biases, d = 1024, each with its own rules
@pytest.mark.parametrize(
    ("width", "order", "count"),
    [
        (64, 1, 132_160),
        (64, 4, 33_984),
        (64, 8, 18_496),
        (64, 16, 17_472),
        (64, 32, 70_720),
        (128, 8, 34_944),
        (256, 16, 42_240),
        (512, 32, 99_840),
    ],
)
def test_parameter_counts(width: int, order: int, count: int) -> None:
    layers = (linear(1024, width, order), linear(width, 1024, order))
    assert sum(p.numel() for layer in layers for p in layer.parameters()) == count


@pytest.mark.parametrize("order", [2, 8, 16])
def test_it_starts_with_the_spread_of_a_dense_layer(order: int) -> None:
    torch.manual_seed(0)
    layer = PHMLinear(512, 256, order)
    dense = nn.init.xavier_uniform_(torch.empty(512, 256), gain=2**0.5)
    assert layer.weight().std().item() == pytest.approx(dense.std().item(), rel=0.25)
    assert layer.bias.abs().max() == 0


def test_order_1_is_a_dense_layer() -> None:
    assert type(linear(6, 4, 1)) is nn.Linear


@pytest.mark.parametrize(("sizes", "order"), [((10, 8), 4), ((8, 10), 4), ((8, 8), 0), ((8, 8), -2)])
def test_an_order_that_does_not_divide_is_refused(sizes: tuple[int, int], order: int) -> None:
    with pytest.raises(
        InputError, match=f"order is {order}, .*{sizes[0]} and {sizes[1]}.*phm_order or bottleneck"
    ):
        PHMLinear(*sizes, order)
