"""Methods at equal operations, group by group: `python -m benchmarks methods-deep`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.equal_operations.bench import BudgetedBench, Cell, tera
from benchmarks.equal_operations.cells import Cells, StoredCell
from benchmarks.equal_operations.chart import charts
from benchmarks.equal_operations.summary import SUMMARIES, summary_of
from benchmarks.methods.bench import BenchRun
from benchmarks.methods.measure import STEPS_BEYOND, best_rates, beyond
from benchmarks.methods.results import Group, Line, added, no_lines, stored_lines, write_lines
from benchmarks.record import arguments_of, command_of, load, made_with, path_of
from experiments.comparing.grid import OnDone, RunOutcome
from experiments.config import RunConfig
from spt.errors import InputError
from spt.process.cores import cores
from spt.storage.files import write_text

BENCH = Path(__file__).with_name("bench.yml")
Sweep = dict[BenchRun, RunOutcome]


def measure_methods_deep(
    path: Path,
    folder: Path,
    overrides: Mapping[str, Any],
    methods: Sequence[str] = (),
    conditions: Sequence[str] = (),
    budgets: Sequence[float] = (),
    setfit_python: Path | None = None,
    workers: int = 0,
    on_done: OnDone | None = None,
    only_finished: bool = False,
    result: str | None = None,
    add: bool = False,
) -> int:
    """Choose rates, run what is missing, and write the JSON after each method on a condition.

    Args:
        path: of the bench.
        folder: of the runs.
        overrides: dotted keys over those of the conditions; see `BudgetedBench.changed`.
        methods: of the bench that are run; all by default.
        conditions: likewise.
        budgets: likewise, in operations.
        setfit_python: of an environment with SetFit; None leaves it out.
        workers: processes at a time; 0 for one a core.
        on_done: told each run's name and outcome as it ends.
        only_finished: run nothing; report what has ended: a method on a condition within a budget, with all
            its seeds.
        result: name of the JSON in benchmarks/results; the bench's by default.
        add: keep the JSON's lines of methods, conditions and budgets of the bench that are not reported now.

    Returns:
        How many reported runs failed; those for which a budget is too small have not.

    Raises:
        InputError: for a bench or a configuration that is not right, or a JSON to which methods cannot be
            added, before anything runs; or if nothing is finished, where only that is asked for.
    """
    complete = BudgetedBench.load(path).changed(overrides)
    bench, within = complete.chosen(methods, conditions), complete.chosen_budgets(budgets)
    if setfit_python is None and not only_finished:
        bench = bench.without_setfit()
    cells = Cells(bench, path.parent, folder, workers or cores(), on_done, setfit_python, only_finished)
    options = _options(methods, conditions, budgets, setfit_python is not None, only_finished, result, add)
    now = made_with(_command(path, overrides, options))
    lines, reference, name = no_lines(), next(iter(complete.methods)), result or complete.name
    earlier = stored_lines(name, "methods-deep", SUMMARIES) if add else no_lines()
    groups = _groups(complete)

    def write() -> None:
        whole = added(earlier, lines, groups, _group_of)
        write_lines(name, whole, **summary_of(whole["records"], reference))

    for method, condition in bench.groups():
        for budget in [each for each in bench.budgets_on(condition) if each in within]:
            sweep = _sweep(bench, cells, method, condition, budget)
            done = None if sweep is None else _reported(bench, cells, method, condition, budget, sweep)
            if sweep is not None and done is not None:
                lines["sweep"] += [_tried(Cell(run, budget), outcome, now) for run, outcome in sweep.items()]
                lines["records"] += [
                    _line(cell, cells.config(cell), each, now) for cell, each in done.items()
                ]
                write()
    if not lines["records"]:
        raise InputError(f"Nothing of {path} is finished in '{folder}'. Run it without --finished.")
    _draw(name, load(name)["summary"])
    return sum("failure" in line for line in lines["records"])


def _groups(bench: BudgetedBench) -> list[Group]:
    """List method, condition and budget of all that is run, in the bench's order."""
    return [
        (method, condition, budget)
        for method, condition in bench.groups()
        for budget in bench.budgets_on(condition)
    ]


def _group_of(line: Mapping[str, Any]) -> Group:
    return line["method"], line["condition"], line["budget_flops"]


def _draw(name: str, summary: Sequence[Mapping[str, Any]]) -> None:
    """Write the pictures beside the JSON."""
    for setting, picture in charts(summary).items():
        write_text(path_of(f"{name}_{setting}").with_suffix(".svg"), picture)


def _sweep(bench: BudgetedBench, cells: Cells, method: str, condition: str, budget: float) -> Sweep | None:
    """Try a method's rates within a budget, and go on beyond a best one at an edge.

    Returns:
        How each ended, and None where some have not.
    """
    sweep: Sweep = {}
    listed = bench.swept(method, condition, budget)
    for _ in range(1 + STEPS_BEYOND):
        stored = cells.stored(listed)
        if len(stored) < len(listed):
            return None
        sweep |= {cell.run: _dev(each) for cell, each in stored.items()}
        listed = [Cell(run, budget) for run in beyond(sweep)]
    return sweep


def _dev(stored: StoredCell) -> RunOutcome:
    """Return the dev metric of a run, or why there is none."""
    if stored.figures is None:
        return RunOutcome(failure=stored.failure or stored.over_budget)
    return RunOutcome({"dev_metric": stored.figures["dev_accuracy"]})


def _reported(
    bench: BudgetedBench, cells: Cells, method: str, condition: str, budget: float, sweep: Sweep
) -> dict[Cell, StoredCell] | None:
    """Run a method's seeds within a budget at the best rate there; None where some have not ended."""
    rates = bench.methods[method].learning_rates
    # where no rate worked, the runs say why
    rate = best_rates(sweep).get((method, condition), rates[0]) if rates else 0.0
    listed = bench.reported_within(method, condition, budget, rate)
    done = cells.stored(listed)
    return done if len(done) == len(listed) else None


def _tried(cell: Cell, outcome: RunOutcome, now: Mapping[str, Any]) -> Line:
    dev = None if outcome.metrics is None else outcome.metrics["dev_metric"]
    return {
        "method": cell.run.method,
        "condition": cell.run.condition,
        "budget_flops": cell.budget,
        "seed": cell.run.seed,
        "learning_rate": cell.run.rate,
        "dev_accuracy": dev,
        "made": now,
    }


def _line(cell: Cell, config: RunConfig, stored: StoredCell, now: Mapping[str, Any]) -> Line:
    figures = dict(stored.figures or {})
    versions = {**stored.versions, **(figures.pop("versions", None) or {})}
    reasons = {"over_budget": stored.over_budget, "failure": stored.failure}
    facts = {
        "learning_rate": cell.run.rate or None,
        **figures,
        **{key: reason for key, reason in reasons.items() if reason is not None},
    }
    return {
        "method": cell.run.method,
        "condition": cell.run.condition,
        "backbone": Path(config.backbone.name).name,
        "task": config.task.name,
        "shots": config.data.shots_per_class,
        "seed": cell.run.seed,
        "budget_flops": cell.budget,
        **{key: value for key, value in facts.items() if value is not None},
        "made": {**now, "versions": versions, "machine": stored.machine},
    }


def _command(path: Path, overrides: Mapping[str, Any], options: Sequence[str]) -> str:
    """Return the shell command, data files by their names alone."""
    bench = [] if path == BENCH else ["--bench", path]
    words = command_of("methods-deep", *bench, *options)
    return words + arguments_of(overrides)


def _options(
    methods: Sequence[str],
    conditions: Sequence[str],
    budgets: Sequence[float],
    setfit: bool,
    only_finished: bool,
    result: str | None,
    add: bool,
) -> list[str]:
    repeated = {"--only": methods, "--on": conditions, "--budget": list(map(tera, budgets))}
    named = [word for option, values in repeated.items() for value in values for word in (option, value)]
    named += ["--setfit-python", "PYTHON"] * setfit + ["--finished"] * only_finished
    return [*named, *(["--result", result] if result else []), *["--add"] * add]
