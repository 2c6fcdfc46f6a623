"""`spt top`: look at a run, a comparison or a study while it goes, or after it, from its files alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from experiments.live.grid_progress import GridView, grid_path, run_names
from experiments.live.lines import run_line
from experiments.live.run_progress import read_run
from experiments.live.screen import redraws
from experiments.run.listing import STUDY
from experiments.run.lock import is_used
from spt.errors import InputError

# between two looks
SECONDS = 1.0


class Look(Protocol):
    """What is looked at."""

    def look(self) -> None:
        """Read it again."""

    @property
    def ended(self) -> bool:
        """Say whether nothing will change any more, as far as one can tell."""

    def drawn(self) -> RenderableType:
        """Return how it is shown."""


def top(folder: Path, once: bool, console: Console) -> None:
    """Show where what is in a folder is until it ends; nothing is written there.

    Args:
        folder: of a run, a comparison, a study, or with runs below it.
        once: look once only.
        console: where it is shown; where lines cannot be drawn again, each change is printed below the last.

    Raises:
        InputError: if there is nothing to look at.
    """
    what = _what(folder)
    what.look()
    if once or what.ended:
        console.print(what.drawn())
    elif redraws(console):
        with Live(what.drawn(), console=console, refresh_per_second=4) as live:
            while not what.ended:
                time.sleep(SECONDS)
                what.look()
                live.update(what.drawn())
    else:
        _print_changes(what, console)


def _print_changes(what: Look, console: Console) -> None:
    shown = ""
    while True:
        with console.capture() as capture:
            console.print(what.drawn())
        if capture.get() != shown:
            shown = capture.get()
            console.print(Text(shown.rstrip("\n")))
        if what.ended:
            return
        time.sleep(SECONDS)
        what.look()


def _what(folder: Path) -> Look:
    """Return what there is in a folder to look at."""
    if (folder / STUDY).is_file():
        # loads Optuna, for which a run need not wait
        from experiments.tuning.progress import StudyLook  # noqa: PLC0415

        return StudyLook(folder)
    if (folder / "config.yml").is_file():
        return RunLook(folder)
    names = run_names(folder) if folder.is_dir() else []
    if not names:
        raise InputError(
            f"'{folder}' holds no run, no comparison and no study. Name the folder of one; `spt runs` lists "
            "those that are in runs/."
        )
    return GridLook(folder, names)


class RunLook:
    """Look at the run of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def look(self) -> None:
        """Read where the run is.

        Raises:
            InputError: for a config.yml that no run wrote.
        """
        progress = read_run(self.folder)
        if progress is None:
            raise InputError(f"'{self.folder / 'config.yml'}' is no configuration that a run wrote.")
        self.progress = progress

    @property
    def ended(self) -> bool:
        """Say whether no process holds the run."""
        return self.progress.state != "running"

    def drawn(self) -> RenderableType:
        """Return the run's line, and where its page is."""
        page = self.folder / "report.html"
        pages = [Text(f"report: {page}", overflow="fold")] if page.exists() and self.ended else []
        return Group(Text(f"{self.folder.name}: {run_line(self.progress)}"), *pages)


class GridLook(GridView):
    """Look at the runs of a comparison's folder, or at those below any folder."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        super().__init__(str(folder), folder, names)

    @property
    def ended(self) -> bool:
        """Say whether no process holds the comparison or one of its runs."""
        running = any(row.state in ("running", "resumed") for row in self.rows)
        return not running and not is_used(grid_path(self.folder))

    @property
    def caption(self) -> str:
        """Return how many runs are in which state, the time left, and whether nobody runs what is missing."""
        missing = any(row.state != "finished" for row in self.rows)
        return f"stopped: {super().caption}" if self.ended and missing else super().caption
