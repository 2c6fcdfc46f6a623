"""Methods side by side, each at the learning rate that dev chose: `spt bench methods`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.baselines.run import run_baseline
from benchmarks.measure import peak_bytes
from benchmarks.method_bench import Cell, Method, MethodBench
from benchmarks.record import write_result
from experiments.comparison import Comparison, Record
from experiments.comparison_report import write_results
from experiments.comparison_table import Column, percent, tera, whole
from experiments.config import RunConfig, as_arguments
from experiments.grid import (
    Job,
    OnDone,
    Outcome,
    cores,
    finished,
    holds,
    run_config,
    run_jobs,
)
from spt.atomic import write_text
from spt.errors import InputError

MEASURED = "measured.json"
FAILURE = "failure.txt"
STEPS_BEYOND = 2
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


def measure(
    path: Path,
    folder: Path | None = None,
    methods: Sequence[str] = (),
    conditions: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    workers: int = 0,
    on_done: OnDone | None = None,
    only_finished: bool = False,
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
        only_finished: run nothing; report the methods whose runs on a condition have all ended.
        result: name of the JSON in benchmarks/results.

    Raises:
        InputError: for a bench or a configuration that is not right, before anything runs; or if nothing is
            finished, where only that is asked for.
    """
    overrides = overrides or {}
    bench = MethodBench.load(path).changed(overrides).chosen(methods, conditions)
    folder = folder or Path("runs") / bench.name
    runs = Runs(bench, path.parent, folder, workers or cores(), on_done, only_finished)
    sweep = runs.outcomes(bench.sweep())
    for _ in range(STEPS_BEYOND):
        sweep |= runs.outcomes(beyond(sweep))
    rates = best_rates(sweep)
    outcomes = runs.outcomes(bench.reported(rates))
    records = [_record(cell, runs.config(cell), outcome) for cell, outcome in outcomes.items()]
    records += _without_rate(bench, sweep, rates)
    records = [record for record in records if (record.group, record.condition) not in runs.unfinished]
    if not records:
        raise InputError(f"Nothing of {path} is finished in '{folder}'. Run it without --finished.")
    comparison = Comparison(records, [column.metric for column in COLUMNS])
    options = [f" --only {name}" for name in methods] + [f" --on {name}" for name in conditions]
    options += [" --finished"] if only_finished else []
    options += [f" --result {result}"] if result != "methods" else []
    command = f"spt bench methods {path}{as_arguments(overrides)}{''.join(options)}"
    write_results(folder, bench.name, comparison, COLUMNS, command)
    write_result(
        result,
        command,
        [_line(record) for record in records],
        sweep=[
            {**_cell(cell), "dev_accuracy": _dev(outcome)}
            for cell, outcome in sweep.items()
            if cell.group not in runs.unfinished
        ],
    )
    return sum(record.metrics is None for record in records)


@dataclass
class Runs:
    """The runs of a bench in a folder: read back where they are done, else run.

    Attributes:
        bench: whose methods are run.
        base: folder of the bench's file.
        folder: of the runs.
        workers: processes at a time.
        on_done: told each run's name and outcome as it ends.
        only_finished: run nothing; methods with a run on a condition that has not ended go to `unfinished`.
    """

    bench: MethodBench
    base: Path
    folder: Path
    workers: int
    on_done: OnDone | None
    only_finished: bool
    unfinished: set[tuple[str, str]] = field(default_factory=set)

    def config(self, cell: Cell) -> RunConfig:
        """Of a run."""
        return self.bench.config_of(cell, self.base)

    def outcomes(self, cells: Iterable[Cell]) -> dict[Cell, Outcome]:
        """How each ended, in the order of the cells.

        Raises:
            InputError: for a configuration that is not right, before anything runs.
        """
        configs = {cell: self.config(cell) for cell in cells}
        before = {cell: self._before(cell, config) for cell, config in configs.items()}
        missing = {cell.name: cell for cell, outcome in before.items() if outcome is None}
        if self.only_finished:
            before |= {cell: self._failed_before(cell, configs[cell]) for cell in missing.values()}
            self.unfinished |= {cell.group for cell, outcome in before.items() if outcome is None}
            return {cell: outcome for cell, outcome in before.items() if outcome is not None}
        jobs = {
            name: job_of(self.bench.methods[cell.method], configs[cell]) for name, cell in missing.items()
        }
        # a process each, so that its peak memory is its own
        now = run_jobs(jobs, self.folder, self.workers, self._keep, fresh=True)
        return {cell: outcome or now[cell.name] for cell, outcome in before.items()}

    def _keep(self, name: str, outcome: Outcome) -> None:
        if outcome.failure is not None:
            write_text(self.folder / name / FAILURE, outcome.failure)
        if self.on_done is not None:
            self.on_done(name, outcome)

    def _before(self, cell: Cell, config: RunConfig) -> Outcome | None:
        """What a run that is done was measured to be: reading it back takes no memory that says anything."""
        folder, size = self.folder / cell.name, self.bench.methods[cell.method].size
        path = folder / MEASURED
        if not path.exists() or finished(config, folder, search_only=False) is None:
            return None
        metrics = json.loads(path.read_text(encoding="utf-8"))
        return Outcome(metrics) if size in (None, metrics.get("size")) else None

    def _failed_before(self, cell: Cell, config: RunConfig) -> Outcome | None:
        """Why a run failed that would be tried again."""
        folder = self.folder / cell.name
        path = folder / FAILURE
        if not path.exists() or not holds(config, folder):
            return None
        return Outcome(failure=path.read_text(encoding="utf-8"))


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


def best_rates(sweep: Mapping[Cell, Outcome]) -> dict[tuple[str, str], float]:
    """(method, condition) -> the rate of the best dev accuracy, the lower one of two equals."""
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for cell, outcome in sweep.items():
        dev = _dev(outcome)
        if dev is not None:
            best[cell.group] = max(best.get(cell.group, (-1.0, 0.0)), (dev, -cell.rate))
    return {key: -rate for key, (_, rate) in best.items()}


def beyond(sweep: Mapping[Cell, Outcome]) -> list[Cell]:
    """One step on for each sweep whose best rate is the lowest or the highest of several: none else is known.

    The step has the ratio of the last two rates, rounded to one digit.
    """
    found = []
    for group, best in best_rates(sweep).items():
        cells = [cell for cell in sweep if cell.group == group]
        rates = sorted(cell.rate for cell in cells)
        for end, inner in (rates[:2], rates[:-3:-1]) if len(rates) > 1 else ():
            if best == end:
                found.append(replace(cells[0], rate=float(f"{end * end / inner:.0e}")))
    return found


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
    failures = {cell.group: outcome.failure for cell, outcome in sweep.items()}
    return [
        Record(method, condition, seed, failure=f"no learning rate worked: {failure}")
        for (method, condition), failure in failures.items()
        if (method, condition) not in rates
        for seed in bench.seeds
    ]


def _line(record: Record) -> dict[str, Any]:
    head = {"method": record.group, "condition": record.condition, **record.values, "seed": record.seed}
    return {**head, **(record.metrics or {"failure": record.failure})}
