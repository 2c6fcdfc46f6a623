"""The forward pass in the precision of a training, outside of Lightning's loop."""

from __future__ import annotations

import torch

from spt.process.modes import Precision


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Do what Lightning's `bf16-mixed` does to a forward pass."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
