"""How a step's cost grows with the layers L, the tokens T, the prompt length P and the prompt layers K."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from typing import Any

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from torch.nn.functional import cross_entropy
from torch.optim import AdamW

from benchmarks.cost.contenders import (
    Contender,
    Shape,
    model_of,
    peft_configs,
    peft_method,
    random_backbone,
)
from benchmarks.cost.measure import interleaved_seconds, saved_bytes
from spt.flops import flops
from spt.reports.drawing import STYLE
from spt.reports.palette import OTHER, SERIES

# narrower than BERT-base, so that all values are cheap to measure
SHAPE = Shape(hidden=256)
VALUES = {
    "layers": (4, 8, 12, 24),
    "tokens": (32, 64, 128, 256),
    "prompt": (1, 10, 50, 100),
    "prompt_layers": (1, 2, 4, 6),
}
TITLES = {
    "layers": "layers L",
    "tokens": "tokens T",
    "prompt": "prompt length P",
    "prompt_layers": "prompt layers K",
}
FIGURES = {"flops": ("GFLOPs a step", 1e9), "saved_bytes": ("MB saved for the backward pass", 1e6)}
COLOURS = dict(zip(("late", "input_prompt"), SERIES, strict=False)) | {"peft_prompt_tuning": OTHER}


def growth(device: torch.device, repeats: int, shape: Shape = SHAPE) -> list[dict[str, Any]]:
    """Measure a step's FLOPs, saved bytes and median seconds for each value, the rest as in `shape`."""
    records = []
    for varied, values in VALUES.items():
        for value in values:
            inside = replace(shape, **{varied: value}) if varied in shape.__dict__ else shape
            methods = compared(inside, value if varied == "prompt_layers" else 1, device)
            seconds = interleaved_seconds({m.name: m.step for m in methods}, repeats)
            records += [
                {
                    "name": method.name,
                    "varied": varied,
                    "value": value,
                    "flops": flops(method.step),
                    "saved_bytes": saved_bytes(method.step, method.parameters),
                    "seconds": seconds[method.name],
                }
                for method in methods
            ]
    return records


def compared(shape: Shape, prompt_layers: int, device: torch.device) -> list[Contender]:
    """Make prompts in the first K layers of the upper half, an input prompt, and peft's."""
    rows, unit = shape.rows(device), "peft_prompt_tuning"
    backbone = random_backbone(shape, device)
    first = shape.layers // 2

    def ours(name: str, layers: Sequence[int], generator: str) -> Contender:
        model = model_of(shape, backbone, layers, generator=generator).to(device)
        optimizer = AdamW([p for p in model.parameters() if p.requires_grad], fused=True)

        def step() -> None:
            optimizer.zero_grad()
            cross_entropy(model(rows).logits, rows["labels"]).backward()
            optimizer.step()

        return Contender(name, step, list(model.parameters()))

    return [
        ours("late", range(first, first + prompt_layers), "pooled"),
        ours("input_prompt", (0,), "free"),
        peft_method(unit, peft_configs(shape)[unit], shape, rows, device),
    ]


def chart(grown: Sequence[dict[str, Any]]) -> str:
    """Draw FLOPs and saved bytes over each varied value, as SVG text."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 5), layout="constrained")
        grid = figure.subplots(len(FIGURES), len(VALUES), sharey="row", squeeze=False)
        for row, (key, (title, unit)) in zip(grid, FIGURES.items(), strict=True):
            row[0].set_ylabel(title)
            for axes, varied in zip(row, VALUES, strict=True):
                for name, colour in COLOURS.items():
                    points = [r for r in grown if r["name"] == name and r["varied"] == varied]
                    heights = [r[key] / unit for r in points]
                    axes.plot([r["value"] for r in points], heights, "o-", color=colour, label=name)
                axes.set_xlabel(TITLES[varied])
            row[0].set_ylim(bottom=0)
        grid[0][0].legend(frameon=False)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
