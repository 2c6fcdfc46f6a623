"""The runs of a bench of methods in a folder: each in a process of its own, and read back once it is done."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.baselines.run import run_baseline
from benchmarks.cost.measure import peak_bytes
from benchmarks.methods.bench import BenchRun, Method, MethodBench
from experiments.comparing.grid import Job, OnDone, RunOutcome, is_finished, run_config, run_jobs
from experiments.config import RunConfig
from experiments.run.data_report import check_data
from experiments.run.folder import numbers_of
from experiments.run.results import ADVICE, with_current_names
from spt.storage.files import write_text
from spt.storage.json_files import read_json

MEASURED = "measured.json"
FAILURE = "failure.json"


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

    def config(self, cell: BenchRun) -> RunConfig:
        """Return the configuration of a run."""
        return self.bench.config_of(cell, self.base)

    def outcomes(self, cells: Iterable[BenchRun]) -> dict[BenchRun, RunOutcome]:
        """Return how each ended, in the order of the cells.

        Raises:
            InputError: for a configuration or data that are not right, before anything runs.
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

        def keep(name: str, outcome: RunOutcome) -> None:
            self._keep(missing[name], configs[missing[name]], outcome)
            if self.on_done is not None:
                self.on_done(name, outcome)

        check_data([configs[cell] for cell in missing.values()])
        # a process each, so that its peak memory is its own
        now = run_jobs(jobs, self.folder, self.workers, keep, fresh=True)
        return {cell: outcome or now[cell.name] for cell, outcome in before.items()}

    def _keep(self, cell: BenchRun, config: RunConfig, outcome: RunOutcome) -> None:
        """Write a failure down, which may have come before anything was written."""
        if outcome.failure is not None:
            folder = self.folder / cell.name
            folder.mkdir(parents=True, exist_ok=True)
            content = {"run": self._identity(cell, config), "failure": outcome.failure}
            write_text(folder / FAILURE, json.dumps(content) + "\n")

    def _identity(self, cell: BenchRun, config: RunConfig) -> list[Any]:
        """Return all that decides the numbers of a run."""
        return [numbers_of(config), *self.bench.methods[cell.method].kind]

    def _before(self, cell: BenchRun, config: RunConfig) -> RunOutcome | None:
        """Read back what a finished run was measured to be: loading it again says nothing of memory."""
        folder = self.folder / cell.name
        path = folder / MEASURED
        if not path.exists() or not is_finished(config, folder):
            return None
        metrics = with_current_names(read_json(path, ADVICE))
        kind = metrics.get("method"), metrics.get("size")
        return RunOutcome(metrics) if kind == self.bench.methods[cell.method].kind else None

    def _failed_before(self, cell: BenchRun, config: RunConfig) -> RunOutcome | None:
        """Read back why a run failed that would be tried again."""
        path = self.folder / cell.name / FAILURE
        if not path.exists():
            return None
        stored = read_json(path, ADVICE)
        return (
            RunOutcome(failure=stored["failure"]) if stored["run"] == self._identity(cell, config) else None
        )


def job_of(method: Method, config: RunConfig) -> Job:
    """Return what runs a method in a folder, and measures the memory of its process."""
    if method.baseline is None:
        return partial(_measured, partial(run_config, config))
    return partial(_measured, partial(_run_baseline, config, method.baseline, method.size))


def _run_baseline(config: RunConfig, baseline: str, size: int | None, folder: Path) -> dict[str, Any]:
    return run_baseline(config, baseline, folder, size)


def _measured(job: Job, folder: Path) -> dict[str, Any]:
    """Return a job's metrics with the size of what it saved, and the peak memory of this process."""
    metrics = job(folder)
    saved = [file for file in (folder / "model").glob("*") if file.is_file()]
    size = {"bytes": sum(file.stat().st_size for file in saved), "peak_bytes": peak_bytes()}
    measured = {**size, **metrics}
    write_text(folder / MEASURED, json.dumps(measured) + "\n")
    return measured
