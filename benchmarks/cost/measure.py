"""What one step costs: bytes kept for the backward pass, seconds, and the peak memory of a process."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor

from spt.process.precision import product_seconds

Step = Callable[[], object]
Result = TypeVar("Result")


def saved_bytes(step: Step, parameters: Iterable[Tensor]) -> int:
    """Count the bytes that autograd saves for the backward pass; parameters do not count.

    A storage that several operations keep counts once.
    """
    known = {p.untyped_storage().data_ptr() for p in parameters}
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return sum(saved.values())


def interleaved_seconds(steps: Mapping[str, Step], repeats: int) -> dict[str, float]:
    """Time steps in turn, so that a slow moment of the machine hits all alike; returns median seconds."""
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


def in_bf16(step: Step, device: torch.device) -> Step:
    """Return a step whose forward passes are autocast, as trainings with precision bf16 are."""

    def autocast_step() -> object:
        with torch.autocast(device.type, torch.bfloat16):
            return step()

    return autocast_step


def in_own_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function in a new process, and return its result."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_bytes() -> int:
    """Return the most memory this process has held: of the GPU where there is one, else of the machine."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would count the process that made this one
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    # bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def matmul_rate(device: torch.device, size: int = 2048, dtype: torch.dtype = torch.float32) -> float:
    """Return the operations a second of a product of two square matrices, the best of several."""
    return 2 * size**3 / product_seconds(device, size, dtype)
