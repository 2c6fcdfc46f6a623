"""What one training step costs: operations, bytes kept for the backward pass, seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from statistics import median

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

Step = Callable[[], object]


def flops(step: Step) -> int:
    """Floating-point operations of a step, forward and backward, as torch's counter knows them."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def saved_bytes(step: Step, parameters: Iterable[Tensor]) -> int:
    """Bytes of all tensors that autograd keeps for the backward pass; parameters do not count.

    A storage that several operations keep counts once.
    """
    known = {p.untyped_storage().data_ptr() for p in parameters}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return sum(kept.values())


def interleaved_seconds(steps: Mapping[str, Step], repeats: int) -> dict[str, float]:
    """Median seconds of each step, taken in turn so that a slow moment of the machine hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(repeats):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}
