"""The log of a run in each tracker that its configuration names: every step once, whatever was killed."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from experiments.config import RunConfig
from experiments.run.folder import RunFolder
from experiments.run.training import OnStageEpoch, Stage
from experiments.tracking.records import Record, final_values, run_records
from experiments.tracking.tracker import OpenTracker, TrackedRun, Tracker
from spt.errors import InputError, machine_fault
from spt.process.extras import need
from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json

NOTES = "tracking.json"
ADVICE = "Delete it, and the log of the run begins anew."

log = logging.getLogger(__name__)


@dataclass
class Note:
    """Hold how much of a run a tracker has been told.

    Attributes:
        run_id: of the tracker, by which a later session goes on.
        told: series -> how many of its records.
        finished: whether the last numbers are told.
    """

    run_id: str | None = None
    told: dict[str, int] = field(default_factory=dict)
    finished: bool = False


@dataclass(frozen=True)
class _Notes:
    """What is read of the file."""

    trackers: dict[str, Note]


def check_loggers(config: RunConfig) -> None:
    """Check that the packages of the trackers that a configuration names are installed.

    Raises:
        InputError: naming the first that is not, and what installs it.
    """
    need(*(name for name in config.loggers if name != "tensorboard"))


class RunLog:
    """Tell trackers what a run finds.

    A step is noted before it is told: where a kill comes between the two it is missing in the log, and never
    there twice. A tracker that fails later on is left out of the session with a warning; the next session
    tells it the rest.

    Args:
        config: of the run, which names the trackers.
        folder: of the run, with the notes of earlier sessions.

    Raises:
        InputError: if a tracker cannot be opened, or the notes are damaged.
    """

    def __init__(self, config: RunConfig, folder: RunFolder) -> None:
        self.config = config
        self.folder = folder
        self._path = folder.path / NOTES
        self._notes = _read(self._path)
        self._trackers: dict[str, Tracker] = {}
        run = TrackedRun(config.name, folder.path, config.model_dump(mode="json"))
        for name in config.loggers:
            note = self._notes.setdefault(name, Note())
            try:
                self._trackers[name] = _opened(name, run, note.run_id)
            except BaseException:
                self.close(failed=True)
                raise
            note.run_id = self._trackers[name].run_id
            self._write()

    def following(self, on_epoch: OnStageEpoch | None) -> OnStageEpoch:
        """Return what tells the trackers, and another listener, after each epoch."""

        def tell(stage: Stage, epoch: int, dev: float) -> None:
            self.update()
            if on_epoch is not None:
                on_epoch(stage, epoch, dev)

        return tell

    def update(self) -> None:
        """Tell each tracker what it does not know yet."""
        if not self._trackers:
            return
        records = run_records(self.folder, self.config)
        for name in list(self._trackers):
            self._tell(name, records)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Tell each tracker the rest, and the numbers that the run ended with."""
        self.update()
        for name, tracker in list(self._trackers.items()):
            note = self._notes[name]
            if not note.finished:
                note.finished = True
                if not self._did(name, partial(tracker.finish, final_values(metrics))):
                    note.finished = False
                    self._write()

    def close(self, failed: bool) -> None:
        """End the session of each tracker."""
        for name, tracker in list(self._trackers.items()):
            self._did(name, partial(tracker.close, failed))
        self._trackers.clear()

    def _tell(self, name: str, records: Sequence[Record]) -> None:
        told, tracker = self._notes[name].told, self._trackers[name]
        seen: Counter[str] = Counter()
        for record in records:
            seen[record.series] += 1
            if seen[record.series] <= told.get(record.series, 0):
                continue
            told[record.series] = seen[record.series]
            if not self._did(name, partial(tracker.log, record)):
                told[record.series] -= 1
                self._write()
                return

    def _did(self, name: str, deed: Callable[[], None]) -> bool:
        """Note what is about to be told, and tell it; a tracker that cannot take it is left out."""
        self._write()
        try:
            deed()
        except Exception as error:
            # libraries raise what they like; a full disk is the run's own trouble
            if machine_fault(error) is not None:
                raise
            log.warning("%s takes no more of the log of this session: %s", name, error)
            del self._trackers[name]
            return False
        return True

    def _write(self) -> None:
        if not self._notes:
            return
        content = {"trackers": {name: asdict(note) for name, note in self._notes.items()}}
        write_text(self._path, json.dumps(content, indent=2) + "\n")


@contextmanager
def run_log(config: RunConfig, folder: RunFolder) -> Iterator[RunLog]:
    """Yield the log of a run whose folder is held; tells the rest of what it found, and closes it."""
    run = RunLog(config, folder)
    try:
        yield run
        run.update()
    except BaseException:
        run.close(failed=True)
        raise
    run.close(failed=False)


def _opened(name: str, run: TrackedRun, run_id: str | None) -> Tracker:
    """Begin the log of a tracker, or go on with it.

    Raises:
        InputError: if its package cannot.
    """
    try:
        return _opener(name)(run, run_id)
    except Exception as error:
        if machine_fault(error) is not None:
            raise
        before = f"the log '{run_id}' that the run began with" if run_id else "a log"
        raise InputError(
            f"{name} cannot open {before}. Mend that, or leave {name} out of loggers. It says: {error}"
        ) from error


def _opener(name: str) -> OpenTracker:
    """Return what opens a tracker, whose package is imported now."""
    match name:
        case "mlflow":
            from experiments.tracking.mlflow import open_mlflow  # noqa: PLC0415

            return open_mlflow
        case "wandb":
            from experiments.tracking.wandb import open_wandb  # noqa: PLC0415

            return open_wandb
        case "trackio":
            from experiments.tracking.trackio import open_trackio  # noqa: PLC0415

            return open_trackio
    from experiments.tracking.tensorboard import open_tensorboard  # noqa: PLC0415

    return open_tensorboard


def _read(path: Path) -> dict[str, Note]:
    if not path.exists():
        return {}
    return dict(checked(_Notes, read_json(path, ADVICE), f"'{path}'", ADVICE).trackers)
