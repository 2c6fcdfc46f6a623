"""The forward pass in the precision of a training, outside of Lightning's loop, and what bf16 gains."""

from __future__ import annotations

import time

import torch

from spt.process.modes import Precision

# rows of the matrices that say what bf16 gains, and products of each kind
SIDE, PRODUCTS = 512, 20


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Do what Lightning's `bf16-mixed` does to a forward pass."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def bf16_speedup(device: torch.device) -> float:
    """Return how many times as fast as in 32 bits matrix products are in bf16, > 0; takes milliseconds."""
    return _seconds(device, torch.float32) / _seconds(device, torch.bfloat16)


def _seconds(device: torch.device, dtype: torch.dtype) -> float:
    """Return the seconds of a product of two square matrices, the best of several."""
    matrix = torch.ones(SIDE, SIDE, device=device, dtype=dtype)
    seconds = []
    for _ in range(PRODUCTS):
        start = time.perf_counter()
        # waits for the device
        (matrix @ matrix)[0, 0].item()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
