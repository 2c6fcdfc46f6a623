"""The two precisions of the forward pass."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["32", "bf16"]


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """What Lightning's `bf16-mixed` does to a forward pass, for passes outside of its loop."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
