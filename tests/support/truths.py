"""A made-up truth about the tiny backbone."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

from tests.support.tiny import LAYERS, tiny_tree

# of a training
COST = 10_000_000_000


def write_truth(folder: Path, k: int = 2) -> Path:
    """A table of the tiny backbone's subsets of K layers in which high layers are good, over two seeds."""
    records = [
        {
            "layers": subset,
            "seeds": [0, 1],
            "dev_metric": [sum(subset) / 10, sum(subset) / 10 + 0.01],
            "test_metric": [sum(subset) / 10 + 0.02, sum(subset) / 10],
            "train_flops": [COST, COST],
            "train_seconds": [1.0, 1.0],
        }
        for subset in combinations(range(LAYERS), k)
    ]
    run = tiny_tree(folder, task={"metric": "accuracy"}, data={"train_size": 48}, training={"epochs": 1})
    path = folder / "truth.json"
    path.write_text(json.dumps({"records": records, "layers_total": LAYERS, "run": run}), encoding="utf-8")
    return path
