"""TensorBoard's event files, in the run's folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import yaml
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar, text

from experiments.tracking.records import Record
from experiments.tracking.tracker import TrackedRun

FOLDER = "tensorboard"


class TensorBoard:
    """Writes an event file a session, each step at once: a killed process leaves whole steps.

    Args:
        run: whose folder gets the files.
        began_before: whether an earlier session wrote the configuration.
    """

    run_id: str | None = None

    def __init__(self, run: TrackedRun, began_before: bool) -> None:
        folder = run.folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        # two sessions may begin in the same second
        number = len(list(folder.iterdir()))
        self._writer = EventsWriter(str(folder / "events"), filename_suffix=f".{number}")
        if not began_before:
            content = yaml.safe_dump(dict(run.config), sort_keys=False, allow_unicode=True)
            indented = "".join(f"    {line}\n" for line in content.splitlines())
            self._write(text("config", indented), 0)

    def log(self, record: Record) -> None:
        """Add a step's scalars."""
        for tag, value in record.tags.items():
            self._write(scalar(tag, value), record.step)
        self._writer.flush()

    def finish(self, values: Mapping[str, float]) -> None:
        """Add the last numbers as scalars of one step."""
        for name, value in values.items():
            self._write(scalar(f"final/{name}", value), 0)
        self._writer.flush()

    def close(self, failed: bool) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, summary: Any, step: int) -> None:
        self._writer.write_event(Event(summary=summary, step=step, wall_time=time.time()))


def open_tensorboard(run: TrackedRun, run_id: str | None) -> TensorBoard:  # noqa: ARG001
    """Begin an event file in a run's folder."""
    return TensorBoard(run, (run.folder / FOLDER).exists())
