"""Searches over the tiny backbone by every strategy of the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments import pipeline
from strategies.options import OPTIONS, SCORING, MultiTrialOptions, OneShotOptions, only_for
from strategies.registry import STRATEGIES
from tests.support.runs import tiny_config

SEARCH: dict[str, Any] = {
    "k": 2,
    "candidates": [0, 1, 3],
    "epochs": 2,
    "evaluations": 3,
    "population": 2,
    "tournament": 2,
    "manual_layers": [1, 3],
    "gate_learning_rate": 0.2,
    "derivation_evaluations": 4,
}
SEARCHED = [name for name in STRATEGIES if name != "manual"]
# those that train something, in epochs
TRAINED = [name for name in SEARCHED if name not in SCORING]
ONE_SHOT = [name for name, options in OPTIONS.items() if issubclass(options, OneShotOptions)]
TRIALS = [name for name, options in OPTIONS.items() if issubclass(options, MultiTrialOptions)]
# those that choose what a layer gets
BY_KIND = [name for name, options in OPTIONS.items() if "kinds" in options.model_fields]
SPACES: dict[str, dict[str, Any]] = {
    "kinds": {"kinds": ["free", "generated_offset", "scaling"]},
    "lengths": {"lengths": [2, 6]},
    # a free prompt of two vectors has 64 parameters, one of six 192
    "parameters": {"kinds": ["free"], "lengths": [2, 6], "most_parameters": 300, "most_operations": 0.75},
}
# what a clock says
TIMES = {"seconds", "search_seconds", "train_seconds", "total_seconds"}


def config(home: Path, name: str, **sections: Any) -> Any:
    search = {**only_for(name, {**SEARCH, **sections.pop("search", {})}), "strategy": name}
    training = {"epochs": 1, "batch_size": 16, "learning_rate": 0.01, **sections.pop("training", {})}
    return tiny_config(home, search=search, training=training, data={"train_size": 48}, **sections)


def searched(home: Path, folder: Path, name: str, **sections: Any) -> dict[str, Any]:
    """What a search found, without its times."""
    result = pipeline.search(config(home, name, **sections), folder / name)
    return timeless(result.as_json())


def timeless(result: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a clock says."""
    return {key: value for key, value in result.items() if key not in TIMES}


def all_searched(home: Path, folder: Path) -> dict[str, Any]:
    return {name: searched(home, folder, name) for name in STRATEGIES}


def candidates(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "search" / "candidates.jsonl").read_text().splitlines()]
