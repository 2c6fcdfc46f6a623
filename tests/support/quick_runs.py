"""Runs of one epoch, what one leaves, and what of its numbers is the same every time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from experiments.config import RunConfig
from experiments.run.results import RunMetrics
from tests.support.runs import tiny_config

QUICK: dict[str, Any] = {"cache": "off", "search": {"epochs": 1}}
FIGURES = ("calibration", "confusion", "cost", "gates", "learning", "loss", "scores")
FILES_OF_A_RUN = {
    ".lock",
    "architecture.json",
    "config.yml",
    "error_analysis.json",
    *(f"figures/{name}.{kind}" for name in FIGURES for kind in ("png", "svg")),
    "inputs.json",
    "ledger.json",
    "metrics.json",
    "model/README.md",
    "model/prompt.json",
    "model/prompt.safetensors",
    "report.html",
    "search/gates.jsonl",
    "search/history.jsonl",
    "search/last.ckpt",
    "search/search.json",
    "tensorboard/events",
    "tracking.json",
    "train/best.ckpt",
    "train/history.jsonl",
    "train/train.json",
}
TIMES = {"search_seconds", "train_seconds", "total_seconds"}


def quick_config(home: Path, **sections: Any) -> RunConfig:
    """Check the keys of `tiny_tree`; by default a search has one epoch and nothing is cached."""
    search = sections.pop("search", {})
    quick = {} if "strategy" in search else QUICK["search"]
    return tiny_config(home, **{**QUICK, **sections, "search": {**quick, **search}})


def files_of(folder: Path) -> set[str]:
    """Return the paths of the files below a folder."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    # a time and the machine's name follow
    return {re.sub(r"events\.out\.tfevents\..*", "events", name) for name in names}


def timeless(metrics: RunMetrics) -> dict[str, Any]:
    """Return the numbers of a run without its seconds."""
    return {name: value for name, value in metrics.as_json().items() if name not in TIMES}
