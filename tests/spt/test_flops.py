"""The counter against hand counts and against torch's own; whole trainings against their steps."""

import torch
from torch import nn
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
