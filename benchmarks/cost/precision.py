"""`python -m benchmarks precision`: what a step on a CPU takes in bf16, beside the same in 32 bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.cost.contenders import (
    Maker,
    Shape,
    peft_configs,
    peft_method,
    prompted,
    random_backbone,
)
from benchmarks.cost.measure import Step, in_bf16, interleaved_seconds
from benchmarks.record import command_of, write_result
from spt.backbones.attention import SDPA
from spt.backbones.bert import BertBackbone

CPU = torch.device("cpu")
# a batch of short texts on twelve narrow layers, as the deep tables train, and BERT-base with longer ones
SHAPES: Mapping[str, Shape] = {
    "e5-small": Shape(batch=32, tokens=26, hidden=384),
    "bert-base": Shape(),
}
OURS = ("late_6_cached", "spt_4_7_9_11")
LORA = "peft_lora"


def measure_precision(repeats: int, result: str, shapes: Mapping[str, Shape] = SHAPES) -> Path:
    """Time steps in turn and write benchmarks/results/<result>.json.

    Args:
        repeats: timed steps of each kind.
        result: name of the JSON.
        shapes: B, T, L and H by name; layers are those of `OURS`.

    Returns:
        The JSON file.
    """
    records = [record for name, shape in shapes.items() for record in precision_records(name, shape, repeats)]
    command = command_of("precision", "--repeats", repeats, result=result)
    return write_result(
        result, command, records, shapes={name: shape.__dict__ for name, shape in shapes.items()}
    )


def precision_records(name: str, shape: Shape, repeats: int) -> list[dict[str, Any]]:
    """Return a record of each method and way to compute: seconds, and 32 bits' seconds as a multiple of them.

    Args:
        name: of the shape.
        shape: B, T, L and H.
        repeats: timed steps of each, after one that warms up.
    """
    rows = shape.rows(CPU)
    lora = {LORA: partial(peft_method, LORA, peft_configs(shape)[LORA], shape, rows, CPU)}
    ours = prompted(shape, rows, CPU, random_backbone_of(shape))
    plain = prompted(shape, rows, CPU, random_backbone_of(shape, SDPA))
    steps: dict[tuple[str, str], Step] = {}
    for method, make in _chosen({**ours, **lora}).items():
        step = make().step
        steps |= {(method, "32"): step, (method, "bf16"): in_bf16(step, CPU)}
    for method in OURS:
        steps[method, "bf16, attention too"] = in_bf16(plain[method]().step, CPU)
    seconds = interleaved_seconds({" ".join(key): step for key, step in steps.items()}, repeats)
    return [
        {
            "shape": name,
            "name": method,
            "precision": precision,
            "seconds": seconds[f"{method} {precision}"],
            "speedup": seconds[f"{method} 32"] / seconds[f"{method} {precision}"],
        }
        for method, precision in steps
    ]


def random_backbone_of(shape: Shape, attention: str | None = None) -> Callable[[], BertBackbone]:
    """Return what gives one backbone of a shape, with an attention kernel of its own where one is named."""
    backbone = random_backbone(shape, CPU)
    if attention is not None:
        backbone.model.set_attn_implementation(attention)
    return lambda: backbone


def _chosen(makers: Mapping[str, Maker]) -> dict[str, Maker]:
    return {name: makers[name] for name in (*OURS, LORA)}
