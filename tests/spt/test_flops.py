"""The counter against hand counts and against torch's own; whole trainings against their steps."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from spt.flops import flops


def test_flops_of_a_linear_layer_forward_and_backward() -> None:
    layer, x = nn.Linear(8, 4), torch.randn(3, 8)
    assert flops(lambda: layer(x)) == 2 * 3 * 8 * 4
    assert flops(lambda: layer(x).sum().backward()) == 2 * (2 * 3 * 8 * 4)
    with torch.inference_mode():
        assert flops(lambda: layer(x)) == 2 * 3 * 8 * 4


def test_flops_of_attention_are_those_of_torchs_counter() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    x = torch.randn(2, 5, 16)
    with FlopCounterMode(display=False) as counter:
        layer(x).sum().backward()
    assert flops(lambda: layer(x).sum().backward()) == counter.get_total_flops() > 0


@pytest.mark.parametrize("mask", [None, torch.ones(2, 1, 5, 5, dtype=torch.bool)])
def test_attention_is_counted_whichever_kernel_computes_it(mask: torch.Tensor | None) -> None:
    query, key, value = (torch.randn(2, 4, 5, 8, requires_grad=True) for _ in range(3))
    product = 2 * 2 * 4 * 5 * 5 * 8

    def attend() -> torch.Tensor:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    counts = {}
    for kernel in (SDPBackend.MATH, SDPBackend.FLASH_ATTENTION):
        with sdpa_kernel(kernel):
            counts[kernel] = flops(attend), flops(lambda: attend().sum().backward())
            with torch.inference_mode():
                assert flops(attend) == counts[kernel][0]
    # scores and values; the fused kernel computes the scores once more on the way back
    assert counts == {
        SDPBackend.MATH: (2 * product, 6 * product),
        SDPBackend.FLASH_ATTENTION: (2 * product, 7 * product),
    }
