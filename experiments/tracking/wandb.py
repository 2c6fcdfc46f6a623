"""A run of Weights & Biases, online or offline as WANDB_MODE says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import wandb

from experiments.tracking.records import Record
from experiments.tracking.tracker import TrackedRun


class Wandb:
    """Logs each series over a step of its own: the steps that W&B counts itself only rise.

    Args:
        run: of wandb.
    """

    def __init__(self, run: Any) -> None:
        self.run_id: str = str(run.id)
        self._run = run
        for series in ("search", "candidates", "train"):
            run.define_metric(f"{series}/step")
            run.define_metric(f"{series}/*", step_metric=f"{series}/step")

    def log(self, record: Record) -> None:
        """Add a step."""
        self._run.log({f"{record.series}/step": record.step, **record.tags}, step=record.number)

    def finish(self, values: Mapping[str, float]) -> None:
        """Add the last numbers to the run's summary."""
        self._run.summary.update({f"final/{name}": value for name, value in values.items()})

    def close(self, failed: bool) -> None:
        """End the run; a later session may go on with it."""
        self._run.finish(exit_code=int(failed))


def open_wandb(run: TrackedRun, run_id: str | None) -> Wandb:
    """Begin a run, or go on with one."""
    begun = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "spt"),
        name=run.name,
        id=run_id,
        resume="allow",
        config={**run.config, "folder": str(run.folder.resolve())},
        reinit="create_new",
        # nothing is printed into the line of progress
        settings=wandb.Settings(silent=True),
    )
    return Wandb(begun)
