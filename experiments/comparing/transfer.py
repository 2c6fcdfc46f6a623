"""Give found layers to another task, seed or backbone, beside a search there: `spt transfer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.comparing.experiment_file import Experiment, GridCell
from experiments.config import load_config
from spt.architecture import PromptLayers
from spt.errors import InputError


def transfer_cells(source: Path, config: Path, overrides: Mapping[str, Any], seeds: int) -> list[GridCell]:
    """List runs of two groups over seeds: 'searched' as the config says, 'transferred' from the source.

    Args:
        source: a run's folder, or an architecture.json. Layers go to the same relative depth.
        config: of a run on the target.
        overrides: dotted keys over it.
        seeds: 0 to seeds - 1 are run.

    Raises:
        InputError: if the source holds no layers, or the configuration does not search.
    """
    path = source / "architecture.json" if source.is_dir() else source
    PromptLayers.load(path)
    strategy = load_config(config, overrides).search.strategy
    if strategy == "manual":
        raise InputError(
            f"'{config}' has search.strategy=manual, which leaves nothing to compare the transferred layers "
            "with. Name a strategy that searches."
        )
    groups = {strategy: "searched", "manual": "transferred"}
    space = {
        "search.strategy": {
            "_type": "choice",
            "_value": [
                {"_name": strategy},
                {"_name": "manual", "search.manual_layers": {"_type": "choice", "_value": [str(path)]}},
            ],
        },
        "seed": {"_type": "choice", "_value": list(range(seeds))},
    }
    others = {key: value for key, value in overrides.items() if key != "search.strategy"}
    cells = Experiment(config, "transfer", Path(), config, space).cells(others)
    return [replace(cell, group=groups[cell.group]) for cell in cells]
