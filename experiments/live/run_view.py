"""One run as it goes: a line on a terminal, elsewhere a line an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import current_process
from pathlib import Path

from rich.console import RenderableType
from rich.spinner import Spinner
from rich.text import Text

from experiments.live.lines import begun_line, epoch_line, run_line
from experiments.live.run_progress import RunProgress, read_run
from experiments.live.screen import progress_console, redraws, showing

BEGINNING = RunProgress("running")


class RunView:
    """Follow the run of a folder.

    Args:
        folder: of the run, which may not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.progress = BEGINNING
        self._before: RunProgress | None = None

    def look(self) -> None:
        """Read where the run is; what is there before and after it holds its folder is no progress."""
        progress = read_run(self.folder)
        if progress is not None and progress.state == "running":
            self.progress = progress

    def drawn(self) -> RenderableType:
        """Return the line, after a sign that moves."""
        return Spinner("dots", Text(run_line(self.progress), overflow="ellipsis", no_wrap=True))

    def news(self) -> Sequence[str]:
        """Return a line for a stage or a candidate that begins, and for each epoch that has ended."""
        before, now = self._before, self.progress
        self._before = now
        if before is None or (before.stage, before.candidate) != (now.stage, now.candidate):
            return [begun_line(now)]
        if now.epoch is not None and before.epoch is not None and now.epoch > before.epoch:
            return [epoch_line(now)]
        return []


@contextmanager
def run_shown(folder: Path, wanted: bool) -> Iterator[None]:
    """Show the run of a folder beside the body.

    Args:
        folder: of the run.
        wanted: False shows nothing.
    """
    if not wanted:
        yield
        return
    with showing(RunView(folder), progress_console(), stays=False):
        yield


def someone_watches() -> bool:
    """Say whether this is the main process on a terminal: workers of a grid have their parent's."""
    return redraws(progress_console()) and current_process().name == "MainProcess"
