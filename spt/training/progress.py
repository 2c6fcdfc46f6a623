"""Where a training is now: a small file beside its checkpoint, which is there only while it goes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json

ADVICE = "Delete it: the training writes it again."


@dataclass(frozen=True)
class TrainingProgress:
    """Hold where a training is.

    Attributes:
        epoch: passes over the training split that are done.
        epochs: that there are at most.
        step: batches of the pass under way that are done.
        steps: of a pass.
        loss: mean over those batches; None before the first of a pass.
        began: passes that were done when this session went on with the training; 0 for one from the start.
        seconds: since then.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None
    began: int
    seconds: float

    @property
    def passes(self) -> float:
        """Return the passes that are done, a part of the one under way among them."""
        return self.epoch + self.step / max(1, self.steps)

    @property
    def seconds_a_pass(self) -> float | None:
        """Return what a pass took in this session, dev scores included; None before its first step."""
        done = self.passes - self.began
        return self.seconds / done if done > 0 else None

    @classmethod
    def read(cls, folder: Path) -> TrainingProgress:
        """Read the file of a training's folder.

        Raises:
            InputError: if it cannot be read, or is damaged.
        """
        path = progress_path(folder)
        return checked(cls, read_json(path, ADVICE), f"'{path}'", ADVICE)

    def write(self, folder: Path) -> None:
        """Write the file."""
        write_text(progress_path(folder), json.dumps(asdict(self)) + "\n")


def progress_path(folder: Path) -> Path:
    """Return where a training that goes on says where it is."""
    return folder / "progress.json"
