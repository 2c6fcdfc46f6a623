"""The JSON of a truth table, and that of one that is begun, which no package holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.layers.common_config import differences, without_folders
from benchmarks.provenance import made_now
from benchmarks.record import path_of
from experiments.config import RunConfig
from search_spaces.budget import Budget
from spt.architecture import Layers
from spt.errors import InputError
from spt.process.provenance import Provenance
from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json

# without so many, a table cannot tell the layers from noise
FEWEST_SEEDS = 2
ADVICE = "Move it away to make the table anew."
FIGURES = ("dev_metric", "test_metric", "train_flops", "train_seconds", "tunable_parameters")

# a training's layers and seed
Key = tuple[Layers, int]
Trained = dict[Key, dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """What the trainings of a subset gave, in the order of their seeds."""

    layers: Layers
    seeds: list[int]
    dev_metric: list[float]
    test_metric: list[float]
    train_flops: list[int]
    train_seconds: list[float]
    tunable_parameters: list[int]

    def __post_init__(self) -> None:
        if any(len(getattr(self, key)) != len(self.seeds) for key in FIGURES):
            raise ValueError(f"layers {list(self.layers)} have not a figure a seed")


@dataclass(frozen=True)
class Content:
    """What a table's JSON holds, beside what it was made with last.

    Attributes:
        earlier: what trainings of earlier commands were made with.
    """

    command: str
    date: str
    versions: dict[str, str]
    machine: dict[str, Any]
    layers_total: int
    run: dict[str, Any]
    records: list[Row]
    earlier: list[dict[str, Any]] = field(default_factory=list)

    def made(self) -> list[dict[str, Any]]:
        """List what its trainings were made with."""
        return [asdict(Provenance(self.command, self.date, self.versions, self.machine)), *self.earlier]

    def trained(self) -> Trained:
        """Return its trainings."""
        return {
            (row.layers, seed): {key: getattr(row, key)[number] for key in FIGURES}
            for row in self.records
            for number, seed in enumerate(row.seeds)
        }


class TableFile:
    """Where a table is written: whole seeds in its file, all that was trained among the results until then.

    Args:
        path: of the table.
        budget: whose subsets it is of.
        config: of the trainings.
        command: that measures it.
    """

    def __init__(self, path: Path, budget: Budget, config: RunConfig, command: str) -> None:
        self.path = path
        self.begun = path_of(f"{path.stem}_begun")
        self.subsets = [subset.layers for subset in budget]
        self.total = budget.total
        self.run = without_folders(config)
        self.command = command
        self.earlier: list[dict[str, Any]] = []

    def read(self) -> Trained:
        """Return the trainings of both files; `write` notes what those were made with.

        Raises:
            InputError: if a file is no table, or one of another configuration.
        """
        trained: Trained = {}
        for path in (self.path, self.begun):
            if path.exists():
                content = checked(Content, read_json(path, ADVICE), f"'{path}'", ADVICE)
                self._check(path, content)
                self.earlier += [made for made in content.made() if made not in self.earlier]
                trained |= content.trained()
        return trained

    def write(self, trained: Mapping[Key, Mapping[str, Any]]) -> None:
        """Write the table of the seeds that are whole, and all trainings where some are not."""
        seeds = sorted({seed for _, seed in trained})
        whole = [seed for seed in seeds if all((subset, seed) in trained for subset in self.subsets)]
        if len(whole) >= FEWEST_SEEDS:
            self._write(self.path, trained, whole)
        if len(whole) < max(FEWEST_SEEDS, len(seeds)):
            self._write(self.begun, trained, seeds)
        else:
            self.begun.unlink(missing_ok=True)

    def _write(self, path: Path, trained: Mapping[Key, Mapping[str, Any]], seeds: Sequence[int]) -> None:
        def row(subset: Layers) -> Row:
            runs = {seed: trained[subset, seed] for seed in seeds if (subset, seed) in trained}
            figures = {key: [run[key] for run in runs.values()] for key in FIGURES}
            return Row(subset, list(runs), **figures)

        now = made_now(self.command).as_json()
        earlier = [made for made in self.earlier if made != now]
        content = {
            **now,
            **({"earlier": earlier} if earlier else {}),
            "layers_total": self.total,
            "run": self.run,
            "records": [asdict(row(subset)) for subset in self.subsets],
        }
        path.parent.mkdir(exist_ok=True)
        write_text(path, json.dumps(content) + "\n")

    def _check(self, path: Path, content: Content) -> None:
        other = differences(content.run, self.run)
        if other or {row.layers for row in content.records} != set(self.subsets):
            what = ", ".join(other) or f"not of every {len(self.subsets[0])} of {self.total} layers"
            raise InputError(f"'{path}' is of other trainings: {what}. {ADVICE}")
