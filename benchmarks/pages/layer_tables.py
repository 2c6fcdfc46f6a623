"""What one prompt gives at each layer, from the truth tables of single layers."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import CHECKOUT
from benchmarks.pages import markdown
from experiments.comparing.statistics import spread
from spt.json_files import read_json

TABLES = CHECKOUT / "experiments" / "comparing"


def single_layers() -> str:
    """Show dev, test and operations of one generated prompt at each layer, a table a task."""
    return "\n\n".join(single_layer_table(path) for path in sorted(TABLES.glob("truth_*_k1.json")))


def single_layer_table(path: Path) -> str:
    """Show the truth table of single layers in a file."""
    content = read_json(path, "Make it again: python -m benchmarks table.")
    run, records = content["run"], content["records"]
    title = (
        f"One generated prompt at each layer of {run['backbone']['name']}, {run['data']['train_size']:,} "
        f"rows of {run['task']['name']}, {run['training']['epochs']} epochs, {len(records[0]['seeds'])} "
        f"seeds, on {device(content['machine'])} ({markdown.command(content['command'])}); operations are "
        "of a training with the states below the prompt cached:"
    )
    rows = [
        [
            markdown.layers(record["layers"]),
            markdown.percent(mean_and_sd(record["dev_metric"])),
            markdown.percent(mean_and_sd(record["test_metric"])),
            f"{fmean(record['train_flops']) / 1e12:.1f}",
        ]
        for record in records
    ]
    return "\n".join([title, *markdown.table(["layer", "dev %", "test %", "10^12 FLOPs"], rows)])


def mean_and_sd(values: list[float]) -> dict[str, Any]:
    """Return mean and deviation as results have them."""
    measured = spread(values)
    return {"mean": measured.mean, "sd": measured.sd}


def device(machine: dict[str, Any]) -> str:
    """Name what computed: the GPU, or the processor."""
    gpu: str = machine["gpu"]
    return f"{machine['cores']} cores of {machine['processor']}" if gpu == "none" else f"an {gpu}"
