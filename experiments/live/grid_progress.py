"""Where the runs of a comparison are, read from their folders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from experiments.live.run_progress import RunProgress, read_run
from experiments.live.trials import TrialRow, TrialsView, as_resumed, queued, row_of_run
from experiments.run.listing import run_folders
from experiments.run.lock import shown_as_used
from spt.errors import InputError
from spt.storage.files import write_text
from spt.storage.json_files import read_json

ADVICE = "Delete it: the next comparison writes it again."


def grid_path(folder: Path) -> Path:
    """Return where a comparison notes which runs it has, and which it holds while it goes."""
    return folder / "grid.json"


@contextmanager
def grid_noted(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """Note the runs of a comparison, by the names of their folders, and hold the note while they run."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(grid_path(folder), json.dumps({"runs": list(names)}, indent=2) + "\n")
    with shown_as_used(grid_path(folder)):
        yield


def run_names(folder: Path) -> list[str]:
    """List the runs of a comparison, as far as they are noted, or else those that are below a folder.

    Raises:
        InputError: if the note is damaged.
    """
    path = grid_path(folder)
    if not path.exists():
        return [str(run.relative_to(folder)) for run in run_folders(folder)]
    names = read_json(path, ADVICE).get("runs")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"'{path}' does not name runs. {ADVICE}")
    return names


class GridView(TrialsView):
    """Follow the runs of a comparison.

    Args:
        title: of the comparison.
        folder: of the runs.
        names: of the runs' folders below it.
    """

    def __init__(self, title: str, folder: Path, names: Sequence[str]) -> None:
        super().__init__(title, names)
        self.folder = folder
        self.names = names
        self._progress: dict[str, RunProgress] = {}

    def look(self) -> None:
        """Read where each run is; one that is finished stays so."""
        for name in self.names:
            known = self._progress.get(name)
            if known is not None and known.state == "finished":
                continue
            progress = read_run(self.folder / name)
            if progress is not None:
                self._progress[name] = progress
        self.rows = [self.row(name, self._progress.get(name)) for name in self.names]

    def row(self, name: str, progress: RunProgress | None) -> TrialRow:
        """Make the row of a run; None for one that has not begun."""
        return queued(name) if progress is None else row_of_run(name, progress)

    def seconds_left(self) -> float | None:
        """Guess what the runs that are not done take, from those that are, several at a time."""
        took = [progress.seconds for progress in self._progress.values() if progress.seconds is not None]
        active = [row for row in self.rows if row.state in ("running", "resumed")]
        waiting = sum(row.state == "queued" for row in self.rows)
        known = [self._progress[row.name].seconds_left for row in active]
        longest = max((seconds for seconds in known if seconds is not None), default=None)
        if not active or (longest is None and not took):
            return None
        others = waiting * (sum(took) / len(took)) / len(active) if took else 0.0
        if waiting and not took:
            return None
        return (longest or 0.0) + others


class SessionGridView(GridView):
    """Follow the runs of a comparison of this process: what an earlier session left is queued, or resumed.

    Args:
        title: of the comparison.
        folder: of the runs.
        names: of the runs' folders below it.
    """

    def __init__(self, title: str, folder: Path, names: Sequence[str]) -> None:
        super().__init__(title, folder, names)
        self.failures: dict[str, str] = {}
        self._begun_before = {name for name in names if _is_begun(folder / name)}

    def row(self, name: str, progress: RunProgress | None) -> TrialRow:
        """Make the row of a run, which is queued where an earlier session ended it without scores."""
        if name in self.failures:
            return TrialRow(name, "failed", failure=self.failures[name])
        row = super().row(name, progress)
        if row.state in ("failed", "stopped"):
            return queued(name)
        return as_resumed(row) if name in self._begun_before else row


def _is_begun(folder: Path) -> bool:
    progress = read_run(folder)
    return progress is not None and progress.state != "finished" and progress.epoch is not None
