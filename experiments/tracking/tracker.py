"""What a tracker is to a run, whichever program keeps the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from experiments.keys import leaves
from experiments.tracking.records import Record


@dataclass(frozen=True)
class TrackedRun:
    """Hold what a tracker is told of a run when it begins.

    Attributes:
        name: of the run.
        folder: of the run.
        config: its keys, nested.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]

    @property
    def flat_config(self) -> dict[str, Any]:
        """Return the keys dotted."""
        return leaves(self.config)


class Tracker(Protocol):
    """Keeps the log of one run."""

    @property
    def run_id(self) -> str | None:
        """Return by what a later session finds the log; None where the run's folder says it."""

    def log(self, record: Record) -> None:
        """Add a step."""

    def finish(self, values: Mapping[str, float]) -> None:
        """Add the numbers that the run ended with."""

    def close(self, failed: bool) -> None:
        """End this session of the log."""


# begins the log of a run, or goes on with the one of an id
OpenTracker = Callable[[TrackedRun, str | None], Tracker]
