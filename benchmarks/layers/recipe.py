"""What each part of the recipe is worth: variants of a training at given layers, over tasks and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.layers.trainings import run_trainings
from benchmarks.record import arguments_of, command_of, mean_and_spread, write_result
from experiments.comparing.grid import OnDone, RunOutcome
from experiments.config import RunConfig, load_config
from experiments.keys import read_tree
from spt.errors import unknown
from spt.json_files import checked

BENCH = Path(__file__).with_name("recipe.yml")
# of the command line, when it is given none
SEEDS = 3
ADVICE = "benchmarks/layers/recipe.yml shows what the file holds."
Keys = dict[str, Any]


class RecipeBench(BaseModel):
    """Name what is varied; each is a name and dotted keys over the configuration, placements aside."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: str = Field(description="File of the configuration, from the folder of this one.")
    conditions: dict[str, Keys]
    placements: dict[str, tuple[int, ...]]
    variants: dict[str, Keys]

    def changed(self, overrides: Mapping[str, Any], only: Sequence[str] = ()) -> RecipeBench:
        """Return the bench with keys CONDITION.KEY put over, and with some of the conditions only.

        Raises:
            InputError: for a condition that the bench does not have.
        """
        conditions = {name: dict(keys) for name, keys in self.conditions.items()}
        for dotted, value in overrides.items():
            name, _, key = dotted.partition(".")
            self._condition(conditions, name)[key] = value
        chosen = {name: self._condition(conditions, name) for name in only or conditions}
        return self.model_copy(update={"conditions": chosen})

    @staticmethod
    def _condition(conditions: dict[str, Keys], name: str) -> Keys:
        if name not in conditions:
            raise unknown("condition", name, conditions)
        return conditions[name]


@dataclass(frozen=True)
class Cell:
    """One training: what it is of."""

    condition: str
    placement: str
    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Return the training's folder."""
        return f"{self.condition}/seed{self.seed}/{self.variant}-{self.placement}"


def measure_recipe(
    bench: Path,
    folder: Path,
    overrides: Mapping[str, Any],
    seeds: Sequence[int],
    workers: int = 0,
    on_done: OnDone | None = None,
    only: Sequence[str] = (),
    result: str = "recipe",
) -> int:
    """Train every cell and write benchmarks/results/<result>.json; returns how many trainings failed.

    Args:
        bench: YAML file, as benchmarks/layers/recipe.yml.
        folder: of the trainings, where the same command goes on.
        overrides: CONDITION.KEY -> value, over those of the bench.
        seeds: of every cell.
        workers: trainings at a time; 0 for one a core.
        on_done: told each training as it ends.
        only: conditions of the bench; all by default.
        result: name of the JSON.

    Raises:
        InputError: for a bad file, or data and backbone that do not fit.
    """
    read = read_recipe_bench(bench).changed(overrides, only)
    configs = {cell: config_of(read, bench.parent, cell) for seed in seeds for cell in cells(read, seed)}
    done = run_trainings({cell.name: config for cell, config in configs.items()}, folder, workers, on_done)
    records = [
        record_of(cell, config.search.model_dump()["manual_layers"], done[cell.name])
        for cell, config in configs.items()
    ]
    named: list[object] = [f"--on={condition}" for condition in only]
    named += [] if bench == BENCH else ["--bench", bench]
    named += [] if len(seeds) == SEEDS else ["--seeds", len(seeds)]
    write_result(
        result,
        command_of("recipe", *named, result=result) + arguments_of(overrides),
        records,
        variants=read.variants,
        placements=read.placements,
        summary=summary(records),
    )
    return sum(outcome.failure is not None for outcome in done.values())


def read_recipe_bench(path: Path) -> RecipeBench:
    """Read the YAML file of a bench.

    Raises:
        InputError: if it is not one.
    """
    return checked(RecipeBench, read_tree(path), f"'{path}'", ADVICE)


def cells(bench: RecipeBench, seed: int) -> list[Cell]:
    """List the trainings of a seed, those that share data one after the other."""
    return [
        Cell(condition, placement, variant, seed)
        for condition in bench.conditions
        for placement in bench.placements
        for variant in bench.variants
    ]


def config_of(bench: RecipeBench, folder: Path, cell: Cell) -> RunConfig:
    """Return the configuration of a training."""
    return load_config(
        folder / bench.config,
        bench.conditions[cell.condition],
        bench.variants[cell.variant],
        {
            "seed": cell.seed,
            "search.strategy": "manual",
            "search.manual_layers": list(bench.placements[cell.placement]),
        },
    )


def record_of(cell: Cell, layers: Sequence[int], outcome: RunOutcome) -> dict[str, Any]:
    """Return what JSON has of a training; a failed one has the reason in place of figures."""
    figures = outcome.metrics or {"failure": outcome.failure}
    figures = {key: value for key, value in figures.items() if key != "config"}
    return {**cell.__dict__, "layers": list(layers), **figures}


def summary(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return mean and deviation over seeds of each variant's dev metric, a placement and condition each."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        if "dev_metric" in record:
            key = (record["condition"], record["placement"], record["variant"])
            groups.setdefault(key, []).append(record)
    return [
        {
            "condition": condition,
            "placement": placement,
            "variant": variant,
            "dev_metric": mean_and_spread([record["dev_metric"] for record in group]),
            "train_flops": fmean(record["train_flops"] for record in group),
            "tunable_parameters": group[0]["tunable_parameters"],
        }
        for (condition, placement, variant), group in groups.items()
    ]
