"""Methods side by side, each at the learning rate that dev chose: `python -m benchmarks methods`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.methods.bench import BenchRun, MethodBench
from benchmarks.methods.results import (
    COLUMNS,
    Line,
    added,
    group_of,
    no_lines,
    read_lines,
    record_of,
    write_lines,
)
from benchmarks.methods.runs import Runs
from benchmarks.record import command_of, made_with
from experiments.comparing.grid import OnDone, RunOutcome
from experiments.comparing.groups import Comparison
from experiments.comparing.page import write_results
from experiments.config import RunConfig
from experiments.keys import as_arguments
from spt.errors import InputError
from spt.process.cores import cores

STEPS_BEYOND = 2
KEPT = (
    "metric",
    "dev_metric",
    "test_metric",
    "dev_accuracy",
    "test_accuracy",
    "tunable_parameters",
    "total_flops",
    "total_seconds",
    "bytes",
    "peak_bytes",
    "layers",
    "layers_total",
)


def measure_methods(
    path: Path,
    folder: Path | None = None,
    methods: Sequence[str] = (),
    conditions: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    workers: int = 0,
    on_done: OnDone | None = None,
    only_finished: bool = False,
    result: str | None = None,
    add: bool = False,
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
        result: name of the JSON in benchmarks/results; the bench's by default.
        add: keep the JSON's lines of methods and conditions of the bench that are not reported now.

    Raises:
        InputError: for a bench or a configuration that is not right, or a JSON to which methods cannot be
            added, before anything runs; or if nothing is finished, where only that is asked for.
    """
    overrides = overrides or {}
    complete = MethodBench.load(path).changed(overrides)
    bench = complete.chosen(methods, conditions)
    name = result or bench.name
    earlier = read_lines(name) if add else no_lines()
    folder = folder or Path("runs") / bench.name
    runs = Runs(bench, path.parent, folder, workers or cores(), on_done, only_finished)
    sweep = runs.outcomes(bench.sweep())
    for _ in range(STEPS_BEYOND):
        sweep |= runs.outcomes(beyond(sweep))
    rates = best_rates(sweep)
    outcomes = runs.outcomes(bench.reported(rates))
    outcomes |= _without_rate(bench, sweep, rates)
    options = [f"--only {method}" for method in methods] + [f"--on {condition}" for condition in conditions]
    options += ["--finished"] * only_finished + [f"--result {result}"] * bool(result) + ["--add"] * add
    command = " ".join([command_of("methods", path) + as_arguments(overrides), *options])
    now = made_with(command)
    lines = {
        "sweep": [_tried(cell, runs.config(cell), outcome, now) for cell, outcome in sweep.items()],
        "records": [_line(cell, runs.config(cell), outcome, now) for cell, outcome in outcomes.items()],
    }
    lines = {
        part: [line for line in part_lines if group_of(line) not in runs.unfinished]
        for part, part_lines in lines.items()
    }
    if not lines["records"]:
        raise InputError(f"Nothing of {path} is finished in '{folder}'. Run it without --finished.")
    records = [record_of(line) for line in lines["records"]]
    comparison = Comparison(records, [column.key for column in COLUMNS])
    write_results(folder, bench.name, comparison, COLUMNS, command)
    write_lines(name, added(earlier, lines, complete.groups()))
    return sum(record.metrics is None for record in records)


def best_rates(sweep: Mapping[BenchRun, RunOutcome]) -> dict[tuple[str, str], float]:
    """Return the rate of the best metric on dev by (method, condition), the lower one of two equals."""
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for cell, outcome in sweep.items():
        dev = _dev(outcome)
        if dev is not None:
            best[cell.group] = max(best.get(cell.group, (-1.0, 0.0)), (dev, -cell.rate))
    return {key: -rate for key, (_, rate) in best.items()}


def beyond(sweep: Mapping[BenchRun, RunOutcome]) -> list[BenchRun]:
    """Go a step on in each sweep whose best rate is the lowest or highest of several: none else is known.

    The step has the ratio of the last two rates, rounded to one digit.
    """
    stepped = []
    for group, best in best_rates(sweep).items():
        cells = [cell for cell in sweep if cell.group == group]
        rates = sorted(cell.rate for cell in cells)
        for end, inner in (rates[:2], rates[:-3:-1]) if len(rates) > 1 else ():
            if best == end:
                stepped.append(replace(cells[0], rate=float(f"{end * end / inner:.0e}")))
    return stepped


def _dev(outcome: RunOutcome) -> float | None:
    return None if outcome.metrics is None else float(outcome.metrics["dev_metric"])


def _tried(cell: BenchRun, config: RunConfig, outcome: RunOutcome, now: Mapping[str, Any]) -> Line:
    return {
        "method": cell.method,
        "condition": cell.condition,
        "seed": cell.seed,
        "learning_rate": cell.rate,
        "metric": config.task.metric,
        "dev_metric": _dev(outcome),
        "made": _made(outcome, now),
    }


def _line(cell: BenchRun, config: RunConfig, outcome: RunOutcome, now: Mapping[str, Any]) -> Line:
    head = {
        "method": cell.method,
        "condition": cell.condition,
        "task": config.task.name,
        "shots": config.data.shots_per_class or config.data.shots_total,
        "seed": cell.seed,
    }
    metrics, made = outcome.metrics, {"made": _made(outcome, now)}
    if metrics is None:
        return {**head, "failure": outcome.failure, **made}
    reported = {key: metrics[key] for key in KEPT if key in metrics}
    return {**head, **reported, "learning_rate": cell.rate, **made}


def _made(outcome: RunOutcome, now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the versions and the machine of the run, which may be older than its report."""
    metrics = outcome.metrics or {}
    return {**now, **{key: metrics[key] for key in ("versions", "machine") if key in metrics}}


def _without_rate(
    bench: MethodBench, sweep: Mapping[BenchRun, RunOutcome], rates: Mapping[tuple[str, str], float]
) -> dict[BenchRun, RunOutcome]:
    """Report a method that failed at every rate as failed with every seed."""
    failed = {cell.group: (cell, outcome) for cell, outcome in sweep.items() if cell.group not in rates}
    return {
        replace(cell, seed=seed): RunOutcome(failure=f"no learning rate worked: {outcome.failure}")
        for cell, outcome in failed.values()
        for seed in bench.seeds
    }
