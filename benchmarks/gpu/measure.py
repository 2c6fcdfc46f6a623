"""`python -m benchmarks gpu`: the GPU tests, and what steps, batches and trials come to on the card at hand.

Needs no network and no weights: every model has random ones.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import CHECKOUT
from benchmarks.cost.contenders import Shape
from benchmarks.gpu.memory import largest_batch
from benchmarks.gpu.sharing import sharing_records
from benchmarks.gpu.steps import BERT_BASE, ROBERTA_LARGE, SHAPES, step_records
from benchmarks.record import command_of, write_result
from spt.errors import InputError

# methods whose largest batch is looked for
BATCHED = ("late_12_cached", "late_12", "input_prompt", "peft_lora", "full_fine_tuning")
REPEATS = 10
SHARING_SECONDS = 5.0

Part = Callable[[], Any]


def measure_gpu(minutes: float, result: str) -> Path:
    """Measure part after part for about so many minutes, and write benchmarks/results/<result>.json.

    The file is written anew after each part; parts for which no time was left are named in it.

    Args:
        minutes: after which no further part begins.
        result: name of the file.

    Raises:
        InputError: if there is no GPU.
    """
    if not torch.cuda.is_available():
        raise InputError("There is no GPU here that torch can use. Run this where `nvidia-smi` shows one.")
    deadline = time.monotonic() + 60 * minutes
    command = command_of("gpu", "--minutes", f"{minutes:g}", result=result)
    device = torch.device("cuda")
    memory = torch.cuda.get_device_properties(device).total_memory
    for content in measured(parts(device), deadline):
        path = write_result(result, command, gpu_memory_bytes=memory, **content)
    return path


def parts(device: torch.device) -> dict[str, Part]:
    """Return what is measured, by the place in the result that each part fills."""
    return {
        "tests": gpu_tests,
        **{
            f"records/{name}": partial(step_records, name, shape, device, REPEATS)
            for name, shape in SHAPES.items()
        },
        "sharing": partial(sharing_records, BERT_BASE, device, SHARING_SECONDS),
        "largest_batches": partial(largest_batches, ROBERTA_LARGE, device),
    }


def measured(parts: Mapping[str, Part], deadline: float) -> Iterator[dict[str, Any]]:
    """Yield the result as it grows by one part after the other, until the time is over.

    A part named records/NAME adds to the list of records. Parts that did not begin are named in `left_out`.
    """
    grown: dict[str, Any] = {"records": [], "left_out": list(parts)}
    for name, part in parts.items():
        if time.monotonic() >= deadline:
            return
        begun = time.monotonic()
        answer = part()
        if name.startswith("records/"):
            grown["records"] = [*grown["records"], *answer]
        else:
            grown[name] = answer
        grown["left_out"] = [other for other in grown["left_out"] if other != name]
        print(f"measured: {name}, {time.monotonic() - begun:.0f} s", flush=True)
        yield dict(grown)


def gpu_tests() -> dict[str, Any]:
    """Run the tests marked gpu in a process of their own; returns their exit code and closing line."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "tests/test_gpu.py", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    return {"exit_code": done.returncode, "closing_line": lines[-1] if lines else done.stderr[-500:]}


def largest_batches(shape: Shape, device: torch.device) -> list[dict[str, Any]]:
    """Return the largest batch of each method that differs in what it keeps for the backward pass."""
    return [
        {"shape": "roberta-large", "name": name, "rows": largest_batch(name, shape, device)}
        for name in BATCHED
    ]
