"""Run every cell of a grid, and say how its groups compare: `spt compare`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.comparing.columns import (
    Column,
    ComparisonTable,
    decimal,
    percent,
    points,
    tera,
    whole_number,
)
from experiments.comparing.experiment_file import Experiment, GridCell
from experiments.comparing.grid import OnDone, RunOutcome, run_grid
from experiments.comparing.groups import SCORE, Comparison, RunRecord, reference_among
from experiments.comparing.page import Histories, write_results
from experiments.comparing.terminal import best_lines, progress, show
from experiments.comparing.truth import TREC, TruthTable
from experiments.keys import as_arguments
from experiments.live.time_left import duration
from experiments.run.folder import RunFolder, numbers_of, stored_config
from spt.errors import TrialFailed
from spt.process.provenance import PROVENANCE
from spt.storage.json_files import read_json_lines
from spt.training.history import ADVICE

COLUMNS = (
    Column("dev_metric", "dev {metric}", percent),
    Column(SCORE, "test {metric}", percent),
    Column("regret", "regret in points", points),
    Column("kendall_tau", "Kendall's tau", decimal),
    Column("total_flops", "10^12 FLOPs", tera),
    Column("total_seconds", "seconds", whole_number),
    Column("tunable_parameters", "parameters", whole_number),
)


def compare_experiment(
    experiment: Experiment,
    overrides: Mapping[str, Any],
    folder: Path,
    quiet: bool,
    workers: int = 0,
    truth: Path | None = None,
    reference: str | None = None,
) -> int:
    """Do `spt compare`: runs, files and, unless `quiet`, tables; returns how many runs failed.

    Args:
        experiment: with the grid.
        overrides: dotted keys.
        folder: of the runs.
        quiet: leaves progress and tables out.
        workers: processes at a time; 0 for one a core.
        truth: a truth table; the one that is here by default, if it is here.
        reference: the group that the others are tested against; the first by default.
    """
    cells = experiment.cells(overrides)
    table = TruthTable.load(truth or TREC) if truth or TREC.exists() else None
    options = [] if truth is None else ["--truth", str(truth)]
    options += [] if reference is None else ["--reference", reference]
    return compare_and_show(
        cells,
        folder,
        experiment.name,
        shlex.join(["spt", "compare", str(experiment.path), *options]) + as_arguments(overrides),
        quiet,
        workers=workers,
        truth=table,
        reference=reference,
    )


def compare_and_show(
    cells: Sequence[GridCell], folder: Path, title: str, command: str, quiet: bool, **options: Any
) -> int:
    """Do `compare` with progress and tables on the terminal, and return how many runs failed.

    Args:
        cells: the runs.
        folder: of the comparison.
        title: of its page and progress.
        command: that makes it again, for the page.
        quiet: leaves progress and tables out.
        options: of `compare`.
    """
    start = time.monotonic()
    with progress(title, folder, folder_names(cells, folder), quiet) as on_done:
        comparison = compare(cells, folder, title, command, on_done=on_done, **options)
    failed = sum(record.metrics is None for record in comparison.records)
    if not quiet:
        show(ComparisonTable(comparison, COLUMNS))
        for line in best_lines(comparison):
            print(line)
        print(f"{len(cells)} runs, {failed} failed, {duration(time.monotonic() - start)}")
        print(f"{folder / 'report.html'}, results.json, table.csv and runs.csv are written.")
    return failed


def compare(
    cells: Sequence[GridCell],
    folder: Path,
    title: str,
    command: str,
    workers: int = 0,
    truth: TruthTable | None = None,
    reference: str | None = None,
    on_done: OnDone | None = None,
) -> Comparison:
    """Run what is missing below `folder`, and write results.json, table.csv, runs.csv and report.html there.

    Args:
        cells: of a grid.
        folder: with a folder for each run. Runs of the same configuration that are there already count,
            whatever their folders' names, so that what `nnictl` ran is read in too.
        title: of the report.
        command: that is noted in the results.
        workers: processes at a time; 0 for one a core.
        truth: judges the layers of the runs that are of its space.
        reference: the group that the others are tested against; the first by default.
        on_done: told each run's name and outcome as it ends.

    Raises:
        InputError: for a configuration that does not fit its data or backbone, or an unknown reference.
        TrialFailed: if no run gave results.
    """
    # before hours of training
    reference_among(list(dict.fromkeys(cell.group for cell in cells)), reference)
    names = folder_names(cells, folder)
    outcomes = run_grid(
        {name: cell.config for name, cell in zip(names, cells, strict=True)}, folder, workers, on_done
    )
    records = [record_of(name, cell, outcomes[name], truth) for name, cell in zip(names, cells, strict=True)]
    if all(record.metrics is None for record in records):
        raise TrialFailed(f"No run gave results. The first failed with: {records[0].failure}")
    comparison = Comparison(records, [column.key for column in COLUMNS], reference)
    histories = gate_histories(dict(zip(names, cells, strict=True)), folder)
    write_results(folder, title, comparison, COLUMNS, command, histories)
    return comparison


def folder_names(cells: Sequence[GridCell], folder: Path) -> list[str]:
    """Name the folder of each cell's run: one that holds a run of its config, or one of the cell's name.

    No two cells get the same folder, whose configurations may differ in what changes no numbers.
    """
    of_numbers: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*/config.yml")):
        config = stored_config(path.parent)
        if config is not None:
            of_numbers.setdefault(numbers_of(config), []).append(path.parent.name)
    taken, names = {cell.config.name for cell in cells}, []
    for cell in cells:
        same = of_numbers.get(numbers_of(cell.config), [])
        others = [] if cell.config.name in same else [name for name in same if name not in taken]
        names.append(others[0] if others else cell.config.name)
        taken.add(names[-1])
    return names


def record_of(folder: str, cell: GridCell, outcome: RunOutcome, truth: TruthTable | None) -> RunRecord:
    """Make the record of a run's outcome, with regret and Kendall's tau where a truth table judges it.

    Args:
        folder: of the run, below the comparison's.
        cell: that was run.
        outcome: metrics, or the reason why there are none.
        truth: about the space that was searched, if there is one.
    """
    metrics = outcome.metrics
    if metrics is not None:
        metrics = {key: value for key, value in metrics.items() if key not in PROVENANCE}
        metrics |= _judged(metrics, truth)
    seed = cell.config.seed
    return RunRecord(cell.group, cell.condition, seed, cell.values, metrics, outcome.failure, folder)


def _judged(metrics: Mapping[str, Any], truth: TruthTable | None) -> dict[str, float]:
    if truth is None or not truth.judges(metrics):
        return {}
    regret = {"regret": truth.regret(tuple(metrics["layers"]))}
    tau = truth.kendall_of(metrics)
    return regret if tau is None else {**regret, "kendall_tau": tau}


def gate_histories(cells: Mapping[str, GridCell], folder: Path) -> Histories:
    """Read the gates' way of each search that had gates, by group and condition."""
    histories: dict[tuple[str, str], list[list[dict[str, Any]]]] = {}
    for name, cell in cells.items():
        if lines := read_json_lines(RunFolder(folder / name).gates, ADVICE):
            histories.setdefault((cell.group, cell.condition), []).append(lines)
    return histories
