"""The largest batch of which a training step fits on the card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from benchmarks.cost.contenders import Shape, contenders
from benchmarks.cost.measure import in_bf16

# rows to begin with, and to stop at
FIRST, LAST = 64, 8192


def largest_batch(method: str, shape: Shape, device: torch.device, last: int = LAST) -> int:
    """Return the most rows of which a bf16 step of a method fits into the device's memory, up to an eighth.

    Args:
        method: a name of `contenders`.
        shape: T, L and H.
        device: whose memory bounds it.
        last: rows to stop at.
    """
    return bisected(partial(step_fits, method, shape, device), FIRST, last)


def bisected(fits: Callable[[int], bool], first: int, last: int) -> int:
    """Return a number that fits where an eighth more does not: double from `first` to `last`, then halve."""
    low, high = 0, first
    while high <= last and fits(high):
        low, high = high, 2 * high
    while high <= last and high - low > max(1, low // 8):
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def step_fits(method: str, shape: Shape, device: torch.device, rows: int) -> bool:
    """Say whether a step on so many rows runs without running out of the device's memory."""
    try:
        in_bf16(contenders(replace(shape, batch=rows), device)[method]().step, device)()
    except torch.OutOfMemoryError:
        return False
    finally:
        torch.cuda.empty_cache()
    return True
