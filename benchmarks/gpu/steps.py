"""What a training step costs on the card, in bf16: time, tokens a second, share of the card's matmul rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.cost.contenders import Shape, contenders
from benchmarks.cost.measure import Step, in_bf16, interleaved_seconds, matmul_rate
from spt.flops import flops

BERT_BASE = Shape(batch=64)
ROBERTA_LARGE = Shape(batch=64, layers=24, hidden=1024)
SHAPES: Mapping[str, Shape] = {"bert-base": BERT_BASE, "roberta-large": ROBERTA_LARGE}


def step_records(name: str, shape: Shape, device: torch.device, repeats: int) -> list[dict[str, Any]]:
    """Time a step of each method, in turn.

    Args:
        name: of the shape.
        shape: B, T, L and H.
        device: that computes.
        repeats: timed steps of each method, after one that warms up.

    Returns:
        A record a method: seconds, FLOPs, tokens a second, and its FLOPs a second as a share of those of a
        product of two large bf16 matrices on the same device.
    """
    rate = matmul_rate(device, 8192 if device.type == "cuda" else 512, torch.bfloat16)
    made = {method: make() for method, make in contenders(shape, device).items()}
    steps = {method: in_bf16(contender.step, device) for method, contender in made.items()}
    operations = counted(steps)
    seconds = interleaved_seconds(steps, repeats)
    tokens = shape.batch * shape.tokens
    return [
        {
            "shape": name,
            "name": method,
            "seconds": seconds[method],
            "ratio_time": seconds[method] / seconds["peft_prompt_tuning"],
            "flops": operations[method],
            "tokens_per_second": tokens / seconds[method],
            "share_of_matmul_rate": operations[method] / seconds[method] / rate,
        }
        for method in steps
    ]


def counted(steps: Mapping[str, Step]) -> dict[str, int]:
    """Count the FLOPs of each step; a compiled one does what the same one does without."""
    eager = {name: flops(step) for name, step in steps.items() if not name.endswith("_compiled")}
    compiled = {name: eager[name.removesuffix("_compiled")] for name in steps if name not in eager}
    return {**eager, **compiled}
