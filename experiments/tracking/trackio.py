"""A run of trackio, on this machine or where TRACKIO_SPACE_ID says."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any
from uuid import uuid4

import trackio

from experiments.tracking.records import Record
from experiments.tracking.tracker import TrackedRun


class Trackio:
    """Logs each series over a step of its own, as a number beside the values.

    Args:
        run: of trackio.
    """

    def __init__(self, run: Any) -> None:
        self.run_id: str = str(run.name)
        self._run = run

    def log(self, record: Record) -> None:
        """Add a step."""
        self._run.log({f"{record.series}/step": record.step, **record.tags}, step=record.number)

    def finish(self, values: Mapping[str, float]) -> None:
        """Add the last numbers."""
        self._run.log({f"final/{name}": value for name, value in values.items()})

    def close(self, failed: bool) -> None:
        """End the run; a later session may go on with it."""
        with redirect_stdout(sys.stderr):
            # the run of this process, which `init` has made it
            trackio.finish()


def open_trackio(run: TrackedRun, run_id: str | None) -> Trackio:
    """Begin a run, or go on with the one of a name."""
    with redirect_stdout(sys.stderr):
        # a name is a run: two runs of one name are to be two
        begun = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", "spt"),
            name=run_id or f"{run.name}-{uuid4().hex[:6]}",
            resume="allow" if run_id else "never",
            config={**run.flat_config, "folder": str(run.folder.resolve())},
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
    return Trackio(begun)
