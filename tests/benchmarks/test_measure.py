"""Counters against hand counts and against torch's own."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import flops, interleaved_seconds, saved_bytes


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


def test_saved_bytes_count_a_storage_once_and_no_parameter() -> None:
    layer, x = nn.Linear(8, 4), torch.randn(3, 8)
    assert saved_bytes(lambda: layer(x), list(layer.parameters())) == x.numel() * 4
    assert saved_bytes(lambda: (layer(x), layer(x)), list(layer.parameters())) == x.numel() * 4
    with torch.no_grad():
        assert saved_bytes(lambda: layer(x), []) == 0


def test_seconds_are_taken_in_turn() -> None:
    order: list[str] = []
    found = interleaved_seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert found.keys() == {"a", "b"}
