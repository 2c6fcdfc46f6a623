"""JSON files that a run or a benchmark leaves, with a value or their text damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from benchmarks.fuzz.case import Case, Target
from benchmarks.fuzz.damage import damaged_bytes, damaged_trees
from experiments.comparing.truth import TruthTable
from experiments.run.inputs import RunInputs
from experiments.run.results import SearchResult
from spt.architecture import PromptLayers
from spt.storage.json_files import read_json, read_json_lines
from strategies.ledger import Ledger

DIGEST = "0123456789abcdef"
LAYERS = {"layers": [1, 3], "total": 6}
SEARCH = {
    "layers": [1, 3],
    "evaluations": 4,
    "search_seconds": 1.5,
    "search_steps": 10,
    "search_flops": 10**12,
    "derivation": "ablation",
    "scores": {"0": 0.5, "1": 0.75},
    "gates": None,
}
LEDGER = {
    "budget_flops": None,
    "entries": [
        {"what": "search", "flops": 10**12, "steps": 10},
        {"what": "retraining", "flops": 5, "steps": 1},
    ],
    "total_flops": 10**12 + 5,
    "total_steps": 11,
}
INPUTS = {
    "format": 1,
    "files": {"train": {"path": "/data/train.csv", "bytes": 100, "sha256": DIGEST}},
    "classes": ["bad", "good"],
    "rows": {"train": {"rows": 10, "digest": DIGEST}, "dev": {"rows": 2, "digest": DIGEST}},
    "backbone": {"weights": DIGEST, "config": DIGEST, "tokenizer": DIGEST},
}
TRUTH = {
    "layers_total": 3,
    "run": {
        "task": {"name": "trec", "metric": "accuracy"},
        "backbone": {"name": "minilm-l6"},
        "data": {"train_size": 2000},
    },
    "records": [
        {
            "layers": [layer],
            "seeds": [0, 1],
            "dev_metric": [0.5, 0.6],
            "test_metric": [0.5, 0.25 * layer],
            "train_flops": [7, 7],
        }
        for layer in range(3)
    ],
}


def _use_truth(path: Path) -> None:
    table = TruthTable.load(path)
    table.spread()
    for layers in table.entries:
        table.regret(layers)
    table.kendall(dict.fromkeys(range(3), 0.5))
    if not table.budget.num_subsets:
        raise AssertionError("it has no subset")


def _use_inputs(path: Path) -> None:
    inputs = RunInputs.read(path)
    if inputs.changes(inputs):
        raise AssertionError("it differs from itself")


READERS: Mapping[str, tuple[Any, Callable[[Path], object]]] = {
    "architecture.json": (LAYERS, PromptLayers.load),
    "search.json": (SEARCH, SearchResult.read),
    "ledger.json": (LEDGER, lambda path: Ledger(path).flops),
    "inputs.json": (INPUTS, _use_inputs),
    "truth.json": (TRUTH, _use_truth),
    "history.jsonl": ({"epoch": 1, "loss": 0.5}, lambda path: read_json_lines(path, "Delete it.")),
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw one file: whole, with a value damaged, or its text."""
    name = draw(st.sampled_from(sorted(READERS)))
    kind = draw(st.sampled_from(["whole", "value", "value", "value", "text"]))
    tree, _ = READERS[name]
    if kind == "value":
        damaged = draw(damaged_trees(tree, closed=False))
        return Case({name: json.dumps(damaged.content).encode() + b"\n"}, f"{name} {damaged.damage}")
    text = json.dumps(tree, indent=None).encode() + b"\n"
    if kind == "whole":
        return Case({name: text}, expected="accepted")
    damaged = draw(damaged_bytes(text))
    return Case({name: damaged.content}, f"{name} {damaged.damage}")


def _first_check(folder: Path) -> None:
    (path,) = folder.iterdir()
    read_json(path, "")


def _use(folder: Path) -> None:
    (path,) = folder.iterdir()
    READERS[path.name][1](path)


TARGET = Target("files of runs", cases, _first_check, _use)
