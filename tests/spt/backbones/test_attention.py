"""The layers' attention: PyTorch's fused kernel, on a CPU in 32 bits whatever the layers around it have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from spt.backbones import attention
from spt.backbones.attention import SDPA_ON_CPU_IN_32_BITS
from spt.process.precision import autocast
from tests.support.families import FAMILIES, attentions, batch, prompted, shared_backbone, tiny_backbone
from tests.support.kernels import Kernels

FUSED = [name for name in FAMILIES if "sdpa" in attentions(name)]


IN_32_BITS = {
    "_scaled_dot_product_flash_attention_for_cpu": {torch.float32},
    "_scaled_dot_product_flash_attention_for_cpu_backward": {torch.float32},
}


@pytest.mark.parametrize("name", FUSED)
def test_a_training_in_bf16_attends_in_32_bits(name: str) -> None:
    model = prompted(shared_backbone(name, "sdpa"), [0, 2])
    with Kernels() as kernels, autocast("bf16", torch.device("cpu")):
        features = model(batch(name, [6, 4])).features
        features.sum().backward()
    assert kernels.dtypes == IN_32_BITS
    for parameter in model.parameters():
        assert not parameter.requires_grad or parameter.grad is not None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_half_backbone_attends_in_32_bits_and_has_half_states(dtype: torch.dtype) -> None:
    backbone = tiny_backbone("bert").to(dtype)
    model = prompted(backbone, [0]).to(dtype)
    with Kernels() as kernels:
        features = model(batch("bert", [6, 4])).features
        features.sum().backward()
    assert features.dtype == dtype
    assert kernels.dtypes == IN_32_BITS


def attend() -> Callable[..., tuple[Tensor, None]]:
    found: Callable[..., tuple[Tensor, None]] = AttentionInterface()[SDPA_ON_CPU_IN_32_BITS]
    return found


def test_more_bits_stay() -> None:
    query, key, value = torch.randn(3, 2, 4, 5, 8, dtype=torch.float64)
    attended, _ = attend()(nn.Module(), query, key, value, None, is_causal=False)
    expected = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)
    torch.testing.assert_close(attended, expected, rtol=0, atol=1e-12)


def test_a_bias_of_positions_is_added_in_32_bits() -> None:
    query, key, value = torch.randn(3, 2, 4, 5, 8).bfloat16()
    bias = torch.randn(1, 4, 5, 5).bfloat16()
    attended, _ = attend()(nn.Module(), query, key, value, None, is_causal=False, position_bias=bias)
    wide = (tensor.float() for tensor in (query, key, value, bias))
    expected = nn.functional.scaled_dot_product_attention(*wide).transpose(1, 2).bfloat16()
    torch.testing.assert_close(attended, expected, rtol=0, atol=0)


def test_other_devices_attend_in_the_dtype_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[torch.dtype] = set()

    def note(_: nn.Module, *inputs: Tensor, **settings: Any) -> tuple[Tensor, None]:
        seen.update(tensor.dtype for tensor in (*inputs, settings["position_bias"]))
        return inputs[0].transpose(1, 2), None

    monkeypatch.setattr(attention, "sdpa_attention_forward", note)
    query = torch.randn(2, 4, 5, 8, dtype=torch.bfloat16, device="meta")
    attended, _ = attend()(nn.Module(), query, query, query, query, position_bias=query)
    assert attended.dtype is torch.bfloat16
    assert seen == {torch.bfloat16}
