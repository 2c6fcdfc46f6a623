"""The forward pass in the precision of a training, outside of Lightning's loop, and what bf16 gains."""

from __future__ import annotations

import time

import torch

from spt.process.modes import Precision

# rows of the matrices that say what bf16 gains
SIDE = 512
# products that are timed, of which the best counts
PRODUCTS = 20


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Do what Lightning's `bf16-mixed` does to a forward pass."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def bf16_speedup(device: torch.device) -> float:
    """Return how many times as fast as in 32 bits matrix products are in bf16, > 0; takes milliseconds."""
    return product_seconds(device, SIDE, torch.float32) / product_seconds(device, SIDE, torch.bfloat16)


def product_seconds(device: torch.device, side: int, dtype: torch.dtype) -> float:
    """Return the seconds of a product of two square matrices of so many rows, the best of several."""
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    seconds = []
    for _ in range(PRODUCTS):
        start = time.perf_counter()
        # waits for the device
        (matrix @ matrix)[0, 0].item()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
