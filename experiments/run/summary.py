"""What a run folder has to show so far, in a few lines."""

import json
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text


def summary(folder: Path) -> dict[str, str]:
    """Name -> value of what the finished stages of a run found."""
    search = _read(folder / "search" / "search.json")
    train = _read(folder / "train" / "train.json")
    metrics = _read(folder / "metrics.json")
    architecture = _read(folder / "architecture.json")
    layers = ", ".join(map(str, architecture["layers"])) or "none"
    found = {"layers": f"{layers} of 0 to {architecture['total'] - 1}"}
    if search.get("gates"):
        found["gates"] = _by_layer(search["gates"], 2)
    if search.get("scores") and search["scores"] != search.get("gates"):
        found[f"{search['derivation']} scores"] = _by_layer(search["scores"], 3)
    if metrics:
        found |= _scores(metrics)
    elif train:
        found["best dev score"] = percent(train["dev"])
    seconds = {"search": search.get("seconds"), "training": train.get("seconds")}
    found["seconds"] = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items() if value)
    found["folder"] = str(folder)
    return {name: value for name, value in found.items() if value}


def _by_layer(values: dict[str, float], decimals: int) -> str:
    return "  ".join(f"{layer}: {value:.{decimals}f}" for layer, value in values.items())


def table(folder: Path) -> Table:
    """The summary as a rich table."""
    shown = Table(show_header=False)
    for name, value in summary(folder).items():
        shown.add_row(name, Text(value))
    return shown


def percent(fraction: float) -> str:
    """0.8066 -> '80.7 %'."""
    return f"{100 * fraction:.1f} %"


def _scores(metrics: dict[str, Any]) -> dict[str, str]:
    scores = {
        "dev accuracy": percent(metrics["dev_accuracy"]),
        "test accuracy": percent(metrics["test_accuracy"]),
        "test F1": percent(metrics["f1"]),
    }
    if metrics["test_metric"] != metrics["test_accuracy"]:
        scores["dev score"] = percent(metrics["dev_metric"])
        scores["test score"] = percent(metrics["test_metric"])
    prompt, head = metrics["prompt_parameters"], metrics["head_parameters"]
    scores["tunable parameters"] = f"{prompt + head:,} (prompt {prompt:,} + head {head:,})"
    return scores


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
