"""The attention kernel of the layers: PyTorch's fused one, on CPUs always in 32 bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

SDPA = "sdpa"
SDPA_ON_CPU_IN_32_BITS = "sdpa_on_cpu_in_32_bits"
_HALVES = (torch.bfloat16, torch.float16)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """Do what transformers' sdpa does: query [B, heads, Q, D] -> [B, Q, heads, D], of the query's dtype."""
    # PyTorch's backward pass of the fused kernel is ten times slower on CPUs in bf16 than in 32 bits
    if query.device.type != "cpu":
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    wide = {name: _in_32_bits(setting) for name, setting in settings.items()}
    inputs = (_in_32_bits(tensor) for tensor in (query, key, value, attention_mask))
    with torch.autocast("cpu", enabled=False):
        attended, _ = sdpa_attention_forward(module, *inputs, **wide)
    return attended.to(query.dtype), None


def _in_32_bits(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in _HALVES else value


AttentionInterface.register(SDPA_ON_CPU_IN_32_BITS, _attend)
# for the model's own forward pass, where somebody runs it
AttentionMaskInterface.register(SDPA_ON_CPU_IN_32_BITS, sdpa_mask)
