"""What each part of the recipe is worth: variants of a training at given layers, over tasks and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.choices import chosen
from benchmarks.layers.common_config import differences, without_folders
from benchmarks.layers.trainings import run_trainings
from benchmarks.record import (
    arguments_of,
    command_of,
    load_to_add,
    made_before,
    mean_and_spread,
    refuse_changed,
    write_result,
)
from experiments.comparing.grid import OnDone, RunOutcome
from experiments.config import RunConfig, load_config
from experiments.keys import read_tree
from spt.storage.json_files import checked

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

    def changed(
        self, overrides: Mapping[str, Any], conditions: Sequence[str] = (), variants: Sequence[str] = ()
    ) -> RecipeBench:
        """Return the bench with keys CONDITION.KEY put over, and with some conditions and variants only.

        Raises:
            InputError: for a condition or variant that the bench does not have.
        """
        changed = {name: dict(keys) for name, keys in self.conditions.items()}
        for dotted, value in overrides.items():
            name, _, key = dotted.partition(".")
            chosen("condition", [name], changed)[name][key] = value
        return self.model_copy(
            update={
                "conditions": chosen("condition", conditions, changed),
                "variants": chosen("variant", variants, self.variants),
            }
        )

    def ordered(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return records in the order of the bench, a seed after the other."""
        conditions, placements, variants = list(self.conditions), list(self.placements), list(self.variants)
        return sorted(
            records,
            key=lambda record: (
                record["seed"],
                conditions.index(record["condition"]),
                placements.index(record["placement"]),
                variants.index(record["variant"]),
            ),
        )

    def changed_since(self, content: Mapping[str, Any]) -> list[str]:
        """Name the conditions, placements and variants of a result that are others now."""
        parts = self.model_dump(mode="json", include={"conditions", "placements", "variants"})
        return [
            f"{part[:-1]} {name}"
            for part, named in parts.items()
            for name, keys in content.get(part, {}).items()
            if named.get(name) != keys
        ]


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
    conditions: Sequence[str] = (),
    variants: Sequence[str] = (),
    result: str = "recipe",
    add: bool = False,
) -> int:
    """Train every cell and write benchmarks/results/<result>.json; returns how many trainings failed.

    Args:
        bench: YAML file, as benchmarks/layers/recipe.yml.
        folder: of the trainings, where the same command goes on.
        overrides: CONDITION.KEY -> value, over those of the bench.
        seeds: of every cell.
        workers: trainings at a time; 0 for one a core.
        on_done: told each training as it ends.
        conditions: of the bench; all by default.
        variants: likewise.
        result: name of the JSON.
        add: keep the JSON's trainings by other conditions and variants of the bench.

    Raises:
        InputError: for a bad file, data and backbone that do not fit, or a JSON to which none can be added:
            of another bench, or of a configuration, condition, placement or variant that is another now.
    """
    complete = read_recipe_bench(bench)
    read = complete.changed(overrides, conditions, variants)
    words: list[object] = [f"--on={condition}" for condition in conditions]
    words += [f"--only={variant}" for variant in variants]
    words += [] if bench == BENCH else ["--bench", bench]
    words += [] if len(seeds) == SEEDS else ["--seeds", len(seeds)]
    command = command_of("recipe", *words, *["--add"] * add, result=result) + arguments_of(overrides)
    run = without_folders(load_config(bench.parent / complete.config))
    kept, earlier = _kept(complete, run, result, command, read) if add else ([], [])
    configs = {cell: config_of(read, bench.parent, cell) for seed in seeds for cell in cells(read, seed)}
    done = run_trainings({cell.name: config for cell, config in configs.items()}, folder, workers, on_done)
    records = [
        record_of(cell, config.search.model_dump()["manual_layers"], done[cell.name])
        for cell, config in configs.items()
    ]
    whole = complete.ordered([*kept, *records])
    write_result(
        result,
        command,
        whole,
        earlier,
        run=run,
        conditions=_used(complete.conditions, whole, "condition"),
        variants=_used(complete.variants, whole, "variant"),
        placements=complete.placements,
        summary=summary(whole),
    )
    return sum(outcome.failure is not None for outcome in done.values())


def _kept(
    bench: RecipeBench, run: Mapping[str, Any], result: str, command: str, measured: RecipeBench
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what a JSON has beside what is measured now, and what it was made with."""
    content = load_to_add(result, "recipe", ("run", "placements", "variants"))
    if content is None:
        return [], []
    refuse_changed(result, "trainings", [*differences(content["run"], run), *bench.changed_since(content)])
    kept = [
        record
        for record in content["records"]
        if record["condition"] not in measured.conditions or record["variant"] not in measured.variants
    ]
    return kept, made_before(content, command)


def _used(named: Mapping[str, Keys], records: Sequence[Mapping[str, Any]], key: str) -> dict[str, Keys]:
    used = {record[key] for record in records}
    return {name: keys for name, keys in named.items() if name in used}


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
