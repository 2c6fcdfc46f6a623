"""Parametrised hyper-complex multiplication (PHM): a linear layer with 1/n of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spt.errors import InputError


class PHMLinear(nn.Module):
    """Compute y = x W + b with W = sum over i of kron(A_i, S_i).

    Args:
        in_features: size of the last axis of x, divisible by order.
        out_features: size of the last axis of y, divisible by order.
        order: n, the number and side of the A_i; in_features * out_features / n + n^3 weights.
        bias: whether there is a b.

    Raises:
        InputError: if order does not divide both sizes.

    Source: Zhang et al. 2021 (arXiv 2102.08597); S as in Compacter (arXiv 2106.04647). The A_i start with a
    deviation of 1/n (ours), which gives W the variance of a dense layer whatever n is.
    """

    def __init__(self, in_features: int, out_features: int, order: int, bias: bool = True) -> None:
        super().__init__()
        if order < 1 or in_features % order or out_features % order:
            raise InputError(
                f"The PHM order is {order}, but it must divide the layer's sizes "
                f"{in_features} and {out_features}. Choose another phm_order or bottleneck."
            )
        self.rules = nn.Parameter(torch.empty(order, order, order).normal_(std=1 / order))
        self.weights = nn.Parameter(torch.empty(order, in_features // order, out_features // order))
        for weight in self.weights:
            nn.init.xavier_uniform_(weight, gain=2**0.5)
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def weight(self) -> Tensor:
        """Contract W [in, out] in one product: no Kronecker factor is ever built on its own."""
        order, inner, outer = self.weights.shape
        joined = torch.einsum("iac,iko->akco", self.rules, self.weights)
        return joined.reshape(order * inner, order * outer)

    def forward(self, x: Tensor) -> Tensor:
        """Project [..., in_features] -> [..., out_features]."""
        return nn.functional.linear(x, self.weight().T, self.bias)


def linear(in_features: int, out_features: int, order: int, bias: bool = True) -> PHMLinear | nn.Linear:
    """Make a projection: PHM of the given order, or dense for order 1.

    Args:
        in_features: what it reads.
        out_features: what it gives.
        order: n, >= 1, that divides both.
        bias: whether it has one.

    Raises:
        InputError: if the order does not divide them.
    """
    if order == 1:
        return nn.Linear(in_features, out_features, bias)
    return PHMLinear(in_features, out_features, order, bias)


def start_at_zero(projection: PHMLinear | nn.Linear) -> None:
    """Let a projection give 0 whatever it reads, with a gradient for its weights."""
    # the A_i keep their start: with these at zero too nothing would ever have a gradient
    nn.init.zeros_(projection.weights if isinstance(projection, PHMLinear) else projection.weight)
    if projection.bias is not None:
        nn.init.zeros_(projection.bias)
