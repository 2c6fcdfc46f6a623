"""The cells of a bench in a folder: each run within a budget is read back once it is done, else run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.equal_operations.bench import BudgetedBench, BudgetedMethod, Cell
from benchmarks.equal_operations.figures import OverBudget
from benchmarks.equal_operations.methods import figures_within
from benchmarks.provenance import made_now
from experiments.comparing.grid import Job, OnDone, run_jobs
from experiments.config import RunConfig
from experiments.keys import leaves
from experiments.run.data_report import check_data
from experiments.run.folder import CHANGEABLE, numbers_of
from spt.errors import TrialFailed
from spt.storage.digests import json_digest
from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json
from spt.training.by_rows import suited_to_rows

FILE = "cell.json"
ADVICE = "Delete it to run it again."


@dataclass(frozen=True)
class StoredCell:
    """What a cell's file holds: its figures, or why there are none.

    Attributes:
        identity: digest of all that its figures depend on beside the budget.
        budget: in operations.
        over_budget: why nothing fits into it.
        failure: of the training.
    """

    identity: str
    budget: float
    figures: dict[str, Any] | None
    over_budget: str | None
    failure: str | None
    versions: Mapping[str, str]
    machine: Mapping[str, str | int]

    @classmethod
    def read(cls, path: Path, identity: str) -> StoredCell | None:
        """Read a cell's file; None where there is none, or one of other figures."""
        if not path.exists():
            return None
        stored = checked(cls, read_json(path, ADVICE), f"'{path}'", ADVICE)
        return stored if stored.identity == identity else None


@dataclass(frozen=True)
class Cells:
    """The cells of a bench in a folder.

    Attributes:
        bench: whose methods are run.
        base: folder of the bench's file.
        folder: of the cells.
        workers: processes at a time.
        on_done: told each run's name and outcome as it ends.
        setfit_python: of an environment with SetFit, where that is run.
        only_finished: run nothing.
    """

    bench: BudgetedBench
    base: Path
    folder: Path
    workers: int
    on_done: OnDone | None
    setfit_python: Path | None
    only_finished: bool

    def config(self, cell: Cell) -> RunConfig:
        """Return the configuration of a run; this project's defaults are those for as many rows."""
        config = self.bench.config_of(cell.run, self.base)
        return with_defaults(config) if self.bench.methods[cell.run.method].has_defaults else config

    def stored(self, cells: Iterable[Cell]) -> dict[Cell, StoredCell]:
        """Run what is missing, and return what each ended with; those that are not done are left out.

        Raises:
            InputError: for a configuration or data that are not right, before anything runs.
        """
        configs = {cell: self.config(cell) for cell in cells}
        missing = [cell for cell, config in configs.items() if self._read(cell, config) is None]
        if missing and not self.only_finished:
            check_data([configs[cell] for cell in missing])
            jobs = {cell.name: self._job(cell, configs[cell]) for cell in missing}
            run_jobs(jobs, self.folder, self.workers, self.on_done)
        read = {cell: self._read(cell, config) for cell, config in configs.items()}
        return {cell: stored for cell, stored in read.items() if stored is not None}

    def _job(self, cell: Cell, config: RunConfig) -> Job:
        method = self.bench.methods[cell.run.method]
        return partial(run_cell, config, method, cell.budget, identity_of(config, method), self.setfit_python)

    def _read(self, cell: Cell, config: RunConfig) -> StoredCell | None:
        identity = identity_of(config, self.bench.methods[cell.run.method])
        return StoredCell.read(self.folder / cell.name / FILE, identity)


def with_defaults(config: RunConfig) -> RunConfig:
    """Return a configuration that trains as `spt init` and the estimator do with as many rows."""
    data, labels = config.data, config.task.labels
    shots = data.shots_per_class * len(labels) if data.shots_per_class and labels else None
    rows = shots or data.shots_total or data.train_size
    if rows is None:
        return config
    training = suited_to_rows(config.training, rows, config.head, config.task)
    return config.model_copy(update={"training": training})


def identity_of(config: RunConfig, method: BudgetedMethod) -> str:
    """Return a digest of what the figures of a run depend on beside its budget.

    Of a method with keys of its own these are all that is given, so that its figures are still its own where
    this project's defaults have changed.
    """
    if method.has_defaults:
        return json_digest([numbers_of(config)])
    given = leaves(config.model_dump(mode="json", exclude_unset=True))
    kept = {key: value for key, value in sorted(given.items()) if key not in CHANGEABLE}
    return json_digest([kept, *method.kind, method.other])


def run_cell(
    config: RunConfig,
    method: BudgetedMethod,
    budget: float,
    identity: str,
    setfit_python: Path | None,
    folder: Path,
) -> dict[str, Any]:
    """Run a method within a budget in a folder, or take what fits and another budget did not shorten.

    Raises:
        TrialFailed: if the budget holds nothing, or the training failed; both are written down.
    """
    figures, over_budget, failure = _unshortened(folder, identity, budget), None, None
    error: TrialFailed | None = None
    if figures is None:
        try:
            figures = asdict(figures_within(config, method, budget, folder, setfit_python))
        except OverBudget as reason:
            error, over_budget = reason, str(reason)
        except TrialFailed as reason:
            error, failure = reason, str(reason)
    made = made_now()
    folder.mkdir(parents=True, exist_ok=True)
    stored = StoredCell(identity, budget, figures, over_budget, failure, made.versions, made.machine)
    write_text(folder / FILE, json.dumps(asdict(stored)) + "\n")
    if error is not None:
        raise error
    return asdict(stored)


def _unshortened(folder: Path, identity: str, budget: float) -> dict[str, Any] | None:
    """Return the figures of a smaller budget that would be the same within this one.

    Not those of a larger one: what a training that stopped early spent may fit where its epochs do not.
    """
    for path in sorted(folder.parent.glob(f"*/{FILE}")):
        stored = StoredCell.read(path, identity)
        if stored is None or stored.figures is None or stored.budget > budget:
            continue
        if not stored.figures["shortened"]:
            return stored.figures
    return None
