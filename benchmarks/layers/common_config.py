"""The configuration that the trainings of a result share: as its JSON has it, and what is another now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.comparing.truth import TruthTable
from experiments.config import RunConfig, checked
from experiments.keys import leaves
from experiments.run.folder import CHANGEABLE, KEEPING
from search_spaces.named_layers import named_layers
from spt.errors import InputError
from spt.workbench import SPLITS
from strategies.options import ManualOptions, SpaceOptions


def without_folders(config: RunConfig) -> dict[str, Any]:
    """Return a configuration as JSON has it, its data files by their names alone."""
    tree = config.model_dump(mode="json")
    files = {key: Path(value).name for key in SPLITS if isinstance(value := tree["data"].get(key), str)}
    return {**tree, "data": {**tree["data"], **files}}


def checked_of_table(tree: Mapping[str, Any], source: str, table: TruthTable) -> RunConfig:
    """Return the configuration of a search whose layers a table has.

    Args:
        tree: its nested keys.
        source: names it in errors.
        table: where what it finds is looked up.

    Raises:
        InputError: naming every problem together, or if it may find another number of layers.
    """
    config = checked(tree, source)
    search, k = config.search, table.budget.k
    if isinstance(search, ManualOptions):
        numbers = {len(named_layers(search.manual_layers, table.total).layers)}
    else:
        assert isinstance(search, SpaceOptions)
        numbers = {search.k} if search.exactly else {search.k, 1}
    if numbers != {k}:
        found = " to ".join(map(str, sorted(numbers)))
        raise InputError(
            f"{source} finds {found} layers, but is judged by a table of every {k} of {table.total}. "
            f"Let it find {k}, or judge it by another table."
        )
    return config


def differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name the keys in which two configurations give other numbers, with both values.

    Args:
        there: of a JSON, as `without_folders` returned it.
        now: likewise, of what is to be added.
    """
    before, after = _numbers(there), _numbers(now)
    return [
        f"{key} ({before.get(key)!r} there, {after.get(key)!r} now)"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _numbers(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dotted keys on which the numbers of trainings depend.

    They have their own layers and seeds, and no search; kept states change no score.
    """
    others = (*CHANGEABLE, *KEEPING, "seed", "search")
    given = {key: value for key, value in run.items() if key not in others}
    return leaves(given)
