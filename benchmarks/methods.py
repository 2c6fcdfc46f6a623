"""Methods side by side, each at the learning rate that dev chose: `spt bench methods`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from benchmarks.baselines.methods import BASELINES
from benchmarks.baselines.run import run_baseline
from benchmarks.measure import peak_bytes
from benchmarks.record import write_result
from experiments.comparison import Comparison, Record
from experiments.comparison_report import write_results
from experiments.comparison_table import Column, percent, tera, whole
from experiments.config import RunConfig, as_arguments, bad_config, load_config
from experiments.grid import Job, OnDone, Outcome, cores, finished, run_config, run_jobs
from spt.atomic import write_text
from spt.errors import InputError

RATE = "training.learning_rate"
MEASURED = "measured.json"
KEPT = (
    "dev_accuracy",
    "test_accuracy",
    "tunable_parameters",
    "train_flops",
    "seconds",
    "bytes",
    "peak_bytes",
)
COLUMNS = (
    Column("dev_accuracy", "dev accuracy", percent),
    Column("test_accuracy", "test accuracy", percent),
    Column("tunable_parameters", "parameters", whole),
    Column("learning_rate", "learning rate", lambda spread: f"{spread.mean:g}"),
    Column("bytes", "bytes on disk", whole),
    Column("train_flops", "10^12 FLOPs", tera),
    Column("seconds", "seconds", whole),
    Column("peak_bytes", "peak memory in MB", lambda spread: f"{spread.mean / 1e6:,.0f}"),
)


class Method(BaseModel):
    """How a method is run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: Path | None = Field(None, description="Run configuration, beside the bench's file.")
    baseline: str | None = Field(None, description="Name of a baseline, in place of prompts of our own.")
    size: int | None = Field(None, ge=1, description="Rank, width or length of a baseline.")
    set: dict[str, Any] = Field(default_factory=dict, description="Dotted keys over its configuration.")
    learning_rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="Tried; dev chooses.")

    @model_validator(mode="after")
    def _known(self) -> Method:
        if self.baseline is not None and self.baseline not in BASELINES:
            raise ValueError(f"there is no baseline '{self.baseline}'; known: {', '.join(BASELINES)}")
        return self


class Condition(BaseModel):
    """What methods are run on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: tuple[str, ...] | None = Field(None, min_length=1, description="Run on it; all by default.")
    set: dict[str, Any] = Field(default_factory=dict, description="Dotted keys over every method's.")


class MethodBench(BaseModel):
    """What is compared, on what, over which seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Of the bench, its folder and its result.")
    config: Path = Field(description="Of methods that name none, beside the bench's file.")
    seeds: tuple[int, ...] = Field(min_length=1, description="Of the runs that are reported.")
    sweep_seed: int = Field(0, ge=0, description="Of the runs that choose learning rates.")
    conditions: dict[str, Condition] = Field(min_length=1, description="By name: data and how to train.")
    methods: dict[str, Method] = Field(min_length=1, description="By name; the first is the reference.")

    @model_validator(mode="after")
    def _known(self) -> MethodBench:
        for name, condition in self.conditions.items():
            missing = [method for method in condition.methods or () if method not in self.methods]
            if missing:
                known = ", ".join(self.methods)
                raise ValueError(f"condition '{name}' has methods {', '.join(missing)}; known: {known}")
        return self

    @classmethod
    def load(cls, path: Path) -> MethodBench:
        """Read a YAML file.

        Raises:
            InputError: naming every problem together.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"The bench '{path}' cannot be read: {error}") from error
        except ValidationError as error:
            raise bad_config(error, str(path), cls) from error

    def chosen(self, methods: Sequence[str], conditions: Sequence[str]) -> MethodBench:
        """The bench with these methods and conditions only; all of them for none.

        Raises:
            InputError: for a name that the bench does not have, or if none of the methods is run on any of
                the conditions.
        """
        _check_names("methods", methods, self.methods)
        _check_names("conditions", conditions, self.conditions)
        found = self.model_copy(
            update={
                "methods": {name: self.methods[name] for name in methods or self.methods},
                "conditions": {name: self.conditions[name] for name in conditions or self.conditions},
            }
        )
        if not any(map(found.methods_on, found.conditions)):
            raise InputError(
                f"The bench runs none of {', '.join(methods)} on {', '.join(found.conditions)}. Take other "
                "methods, or list these under the condition's 'methods'."
            )
        return found

    def methods_on(self, condition: str) -> list[str]:
        """The methods that are run on a condition, in the bench's order."""
        named = self.conditions[condition].methods
        return [name for name in self.methods if named is None or name in named]

    def changed(self, overrides: Mapping[str, Any]) -> MethodBench:
        """The bench with dotted keys over those of one condition (`sst2.data.train`), or of all."""
        found = self.model_copy(deep=True)
        for key, value in overrides.items():
            head, _, rest = key.partition(".")
            named = head in found.conditions
            for condition in [found.conditions[head]] if named else found.conditions.values():
                condition.set[rest if named else key] = value
        return found


@dataclass(frozen=True)
class Cell:
    """One run: a method on a condition with a seed and a rate."""

    method: str
    condition: str
    seed: int
    rate: float

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.condition}/{self.method}-rate{self.rate:g}-seed{self.seed}"


def measure(
    path: Path,
    folder: Path | None = None,
    methods: Sequence[str] = (),
    conditions: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    workers: int = 0,
    on_done: OnDone | None = None,
    result: str = "methods",
) -> int:
    """Choose rates, run what is missing, write report and JSON; returns how many reported runs failed.

    Args:
        path: of the bench.
        folder: of the runs; runs/NAME by default.
        methods: of the bench that are run; all by default.
        conditions: likewise.
        overrides: dotted keys over those of the conditions; see `MethodBench.changed`.
        workers: processes at a time; 0 for one a core.
        on_done: told each run's name and outcome as it ends.
        result: name of the JSON in benchmarks/results.

    Raises:
        InputError: for a bench or a configuration that is not right, before anything runs.
    """
    overrides = overrides or {}
    bench = MethodBench.load(path).changed(overrides).chosen(methods, conditions)
    folder = folder or Path("runs") / bench.name
    everything = [Cell(m, c, seed, rate) for m, c, seed, rate in _all(bench)]
    configs = {cell: config_of(bench, path.parent, cell) for cell in everything}

    def run(cells: Iterable[Cell]) -> dict[Cell, Outcome]:
        found, missing = {}, {}
        for cell in cells:
            method = bench.methods[cell.method]
            before = _measured_before(configs[cell], method, folder / cell.name)
            if before is None:
                missing[cell.name] = cell
            else:
                found[cell] = before
        jobs = {name: job_of(bench.methods[cell.method], configs[cell]) for name, cell in missing.items()}
        # a process each, so that its peak memory is its own
        outcomes = run_jobs(jobs, folder, workers or cores(), on_done, fresh=True)
        return found | {missing[name]: outcome for name, outcome in outcomes.items()}

    sweep = run(cell for cell in everything if cell.seed == bench.sweep_seed)
    rates = best_rates(sweep)
    wanted = [
        Cell(method, condition, seed, rates[method, condition])
        for condition in bench.conditions
        for method in bench.methods_on(condition)
        for seed in bench.seeds
        if (method, condition) in rates
    ]
    outcomes = run(wanted)
    records = [_record(cell, configs[cell], outcomes[cell]) for cell in wanted]
    records += _without_rate(bench, sweep, rates)
    comparison = Comparison(records, [column.metric for column in COLUMNS])
    chosen = [f" --only {name}" for name in methods] + [f" --on {name}" for name in conditions]
    command = f"spt bench methods {path}{as_arguments(overrides)}{''.join(chosen)}"
    write_results(folder, bench.name, comparison, COLUMNS, command)
    write_result(
        result,
        command,
        [_line(record) for record in records],
        sweep=[{**_cell(cell), "dev_accuracy": _dev(outcome)} for cell, outcome in sweep.items()],
    )
    return sum(record.metrics is None for record in records)


def _all(bench: MethodBench) -> Iterable[tuple[str, str, int, float]]:
    """Every run that may be needed: all rates with the sweep's seed, and any of them with the others."""
    for condition in bench.conditions:
        for method in bench.methods_on(condition):
            for seed in dict.fromkeys((bench.sweep_seed, *bench.seeds)):
                for rate in bench.methods[method].learning_rates:
                    yield method, condition, seed, rate


def config_of(bench: MethodBench, base: Path, cell: Cell) -> RunConfig:
    """The configuration of a run."""
    method = bench.methods[cell.method]
    keys = {**method.set, **bench.conditions[cell.condition].set, RATE: cell.rate, "seed": cell.seed}
    return load_config(base / (method.config or bench.config), keys)


def job_of(method: Method, config: RunConfig) -> Job:
    """What runs a method in a folder, and measures the memory of its process."""
    if method.baseline is None:
        return partial(_measured, partial(run_config, config))
    return partial(_measured, partial(_run_baseline, config, method.baseline, method.size))


def _run_baseline(config: RunConfig, baseline: str, size: int | None, folder: Path) -> dict[str, Any]:
    return run_baseline(config, baseline, folder, size)


def _measured(job: Job, folder: Path) -> dict[str, Any]:
    """A job's metrics with its seconds, the size of what it saved, and the peak memory of this process."""
    metrics = job(folder)
    saved = [file for file in (folder / "model").glob("*") if file.is_file()]
    size = {"bytes": sum(file.stat().st_size for file in saved), "peak_bytes": peak_bytes()}
    measured = {**size, **metrics, **_total(metrics)}
    write_text(folder / MEASURED, json.dumps(measured) + "\n")
    return measured


def _total(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds and FLOPs of search and training together, under the names that baselines have."""
    if "search_seconds" not in metrics:
        return {}
    return {
        "seconds": metrics["search_seconds"] + metrics["train_seconds"],
        "train_flops": metrics["total_flops"],
    }


def _measured_before(config: RunConfig, method: Method, folder: Path) -> Outcome | None:
    """What a run that is done was measured to be: reading it back takes no memory that says anything."""
    path = folder / MEASURED
    if not path.exists() or finished(config, folder, search_only=False) is None:
        return None
    metrics = json.loads(path.read_text(encoding="utf-8"))
    return Outcome(metrics) if method.size in (None, metrics.get("size")) else None


def best_rates(sweep: Mapping[Cell, Outcome]) -> dict[tuple[str, str], float]:
    """(method, condition) -> the rate of the best dev accuracy, the lower one of two equals."""
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for cell, outcome in sweep.items():
        dev = _dev(outcome)
        if dev is not None:
            key = cell.method, cell.condition
            best[key] = max(best.get(key, (-1.0, 0.0)), (dev, -cell.rate))
    return {key: -rate for key, (_, rate) in best.items()}


def _dev(outcome: Outcome) -> float | None:
    return None if outcome.metrics is None else float(outcome.metrics["dev_accuracy"])


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "method": cell.method,
        "condition": cell.condition,
        "seed": cell.seed,
        "learning_rate": cell.rate,
    }


def _record(cell: Cell, config: RunConfig, outcome: Outcome) -> Record:
    values = {"task": config.task.name, "shots": config.data.shots_per_class or config.data.shots_total}
    metrics = outcome.metrics
    if metrics is not None:
        kept = {key: metrics[key] for key in (*KEPT, "layers", "layers_total") if key in metrics}
        metrics = {**kept, "learning_rate": cell.rate}
    return Record(cell.method, cell.condition, cell.seed, values, metrics, outcome.failure)


def _without_rate(
    bench: MethodBench, sweep: Mapping[Cell, Outcome], rates: Mapping[tuple[str, str], float]
) -> list[Record]:
    """A method that failed at every rate has failed with every seed."""
    failures = {(cell.method, cell.condition): outcome.failure for cell, outcome in sweep.items()}
    return [
        Record(method, condition, seed, failure=f"no learning rate worked: {failure}")
        for (method, condition), failure in failures.items()
        if (method, condition) not in rates
        for seed in bench.seeds
    ]


def _line(record: Record) -> dict[str, Any]:
    head = {"method": record.group, "condition": record.condition, **record.values, "seed": record.seed}
    return {**head, **(record.metrics or {"failure": record.failure})}


def _check_names(what: str, wanted: Sequence[str], known: Mapping[str, Any]) -> None:
    missing = [name for name in wanted if name not in known]
    if missing:
        raise InputError(f"The bench has no {what} {', '.join(missing)}. It has: {', '.join(known)}.")
