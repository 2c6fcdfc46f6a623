"""What one training step costs: operations, bytes kept for the backward pass, seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Step = Callable[[], object]


class FlopCounter(TorchDispatchMode):
    """torch's FLOP formulas for every operation, without FlopCounterMode's tracking of modules.

    The tracking breaks on whole trainings, where hooks of one pass outlive it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        if formula is None:
            # inference mode passes operations on whole, such as linear
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


def flops(step: Step) -> int:
    """Floating-point operations of a step, forward and backward."""
    with FlopCounter() as counter:
        step()
    return counter.total


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
