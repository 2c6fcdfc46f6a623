"""What several trials on one card do together, as with Ray's fractional GPUs: a process each, at once."""

from __future__ import annotations

import time
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any

import torch

from benchmarks.cost.contenders import Shape, contenders
from benchmarks.cost.measure import in_bf16

METHOD = "late_6_cached"
TRIALS = (1, 2, 4, 8)


def sharing_records(shape: Shape, device: torch.device, seconds: float) -> list[dict[str, Any]]:
    """Count the steps a second of 1, 2, 4 and 8 trials of a late prompt that train at once on one device."""
    rates = {trials: sum(rates_of(trials, shape, device, seconds)) for trials in TRIALS}
    return [
        {"trials": trials, "name": METHOD, "steps_per_second": rate, "ratio_to_one": rate / rates[1]}
        for trials, rate in rates.items()
    ]


def rates_of(trials: int, shape: Shape, device: torch.device, seconds: float) -> list[float]:
    """Return the steps a second of each of so many trials, which start together."""
    context = get_context("spawn")
    barrier, answers = context.Barrier(trials), context.Queue()
    processes = [
        context.Process(target=train, args=(shape, device, seconds, barrier, answers), daemon=True)
        for _ in range(trials)
    ]
    for process in processes:
        process.start()
    rates: list[float] = [answers.get(timeout=seconds + 120) for _ in processes]
    for process in processes:
        process.join()
    return rates


def train(shape: Shape, device: torch.device, seconds: float, barrier: Barrier, answers: Any) -> None:
    """Take steps for so many seconds, once all others are ready, and answer with the steps a second."""
    torch.set_num_threads(1)
    step = in_bf16(contenders(shape, device)[METHOD]().step, device)
    step()
    barrier.wait(timeout=120)
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() < begun + seconds:
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        steps += 1
    answers.put(steps / (time.perf_counter() - begun))
