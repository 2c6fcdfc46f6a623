"""Show something that changes: redrawn in place on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

# between two looks
SECONDS = 0.5


class View(Protocol):
    """What is shown."""

    def look(self) -> None:
        """Read it again."""

    def drawn(self) -> RenderableType:
        """Return how a terminal shows it now."""

    def news(self) -> Sequence[str]:
        """Return a line for each change since the last time that this was asked."""


def progress_console() -> Console:
    """Return where progress is shown: standard error, for what a command gives goes to standard output."""
    return Console(stderr=True, highlight=False)


def redraws(console: Console) -> bool:
    """Say whether a console is a terminal on which lines can be drawn again."""
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def showing(view: View, console: Console, stays: bool) -> Iterator[None]:
    """Show a view beside the body, and once more at its end.

    Args:
        view: is read and shown by a thread of its own.
        console: of `progress_console`.
        stays: leave the last drawing on the terminal.
    """
    ended = threading.Event()
    screen = _Drawing(view, console, stays) if redraws(console) else _Lines(view, console)

    def follow() -> None:
        while not ended.wait(SECONDS):
            screen.show()

    thread = threading.Thread(target=follow, name="progress", daemon=True)
    screen.begin()
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        screen.end()


class _Lines:
    """Prints the news."""

    def __init__(self, view: View, console: Console) -> None:
        self.view = view
        self.console = console

    def begin(self) -> None:
        self.show()

    def show(self) -> None:
        self.view.look()
        for line in self.view.news():
            self.console.print(Text(line), soft_wrap=True)

    def end(self) -> None:
        self.show()


class _Drawing:
    """Draws the view in place."""

    def __init__(self, view: View, console: Console, stays: bool) -> None:
        self.view = view
        self.live = Live(console=console, transient=not stays, refresh_per_second=4)

    def begin(self) -> None:
        self.view.look()
        self.live.update(self.view.drawn())
        self.live.start()

    def show(self) -> None:
        self.view.look()
        self.live.update(self.view.drawn())

    def end(self) -> None:
        self.show()
        self.live.stop()
