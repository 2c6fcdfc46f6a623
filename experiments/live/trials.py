"""Many trials, each with its state: a table that fits its terminal, and a line for each change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from rich.box import SIMPLE
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from experiments.live.lines import where
from experiments.live.run_progress import RunProgress
from experiments.live.time_left import duration
from spt.architecture import layers_text
from spt.reports.wording import percent

TrialState = Literal["queued", "running", "resumed", "finished", "stopped early", "failed", "stopped"]
ACTIVE: tuple[TrialState, ...] = ("running", "resumed")
STYLES: Mapping[TrialState, str] = {
    "running": "cyan",
    "resumed": "cyan",
    "finished": "green",
    "failed": "red",
    "stopped": "yellow",
    "stopped early": "yellow",
    "queued": "dim",
}
# characters that names of trials get at least, where they have as many
NAME_WIDTH = 24
# lines of a terminal that are no rows of the table
OTHER_LINES = 6


@dataclass(frozen=True)
class TrialRow:
    """Hold what is shown of a trial.

    Attributes:
        name: of the trial.
        state: of the trial.
        at: stage and epoch of one that is under way.
        dev: last score of dev, or the trial's; likewise `test`.
        layers: that it has chosen, or would choose now.
        values: of its parameters, by name.
        failure: why it failed.
    """

    name: str
    state: TrialState
    at: str = ""
    dev: float | None = None
    test: float | None = None
    layers: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    failure: str | None = None


def row_of_run(name: str, progress: RunProgress) -> TrialRow:
    """Make the row of a run."""
    finished = progress.state == "finished"
    states: dict[str, TrialState] = {"running": "running", "finished": "finished", "failed": "failed"}
    state = "resumed" if progress.resumed else states.get(progress.state, "stopped")
    return TrialRow(
        name,
        state,
        at="" if finished else where(progress),
        dev=progress.dev,
        test=progress.test,
        layers=layers_text(progress.layers, progress.kinds) if progress.layers else "",
        failure=progress.failure,
    )


def trial_line(row: TrialRow) -> str:
    """Write a trial's state in a line."""
    parts = [f"{row.name}: {row.state}", *([f"in {row.at}"] if row.at else [])]
    parts += [f"{name} {percent(score)}" for name, score in _scores(row)]
    parts += [f"layers {row.layers}"] if row.layers else []
    parts += [" ".join(f"{name}={value}" for name, value in row.values.items())] if row.values else []
    return "  ".join([*parts, *([row.failure] if row.failure else [])])


def changes(before: Sequence[TrialRow], now: Sequence[TrialRow]) -> list[str]:
    """Return a line for each trial that began, or ended, since."""
    states = {row.name: row.state for row in before}
    # what goes back to the queue is said when it begins again
    return [trial_line(row) for row in now if row.state not in ("queued", states.get(row.name))]


def counts(rows: Sequence[TrialRow]) -> str:
    """Write how many trials are in which state: 3 of 12 finished, 2 running, 7 queued."""
    states = Counter(row.state for row in rows)
    others = [f"{states[state]} {state}" for state in STYLES if states[state] and state != "finished"]
    return ", ".join([f"{states['finished']} of {len(rows)} finished", *others])


@dataclass(frozen=True)
class TrialTable:
    """Draw trials as a table with as many rows as the terminal has room for, those under way first of all.

    Attributes:
        title: of the table.
        rows: of the trials.
        caption: under the table.
    """

    title: str
    rows: Sequence[TrialRow]
    caption: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(1, (options.height or console.height) - OTHER_LINES) if console.is_terminal else None
        rows = _most_telling(self.rows, room)
        left_out = [f"{len(self.rows) - len(rows)} more not shown"] if len(rows) < len(self.rows) else []
        caption = "; ".join([self.caption, *left_out])
        names = list(dict.fromkeys(name for row in rows for name in row.values))
        table = Table(
            title=self.title, caption=caption, box=SIMPLE, title_justify="left", caption_justify="left"
        )
        for heading in ("trial", "state", "stage", "dev", "test", "layers", *names):
            least = min(NAME_WIDTH, max(len(row.name) for row in rows)) if heading == "trial" else None
            no_wrap = heading in ("state", "dev", "test")
            table.add_column(heading, overflow="fold", no_wrap=no_wrap, min_width=least)
        for row in rows:
            scores = (("" if score is None else percent(score)) for score in (row.dev, row.test))
            state = Text(row.state, style=STYLES[row.state])
            outcome = row.failure if row.failure else row.layers
            values = (row.values.get(name, "") for name in names)
            # brackets would be markup
            table.add_row(Text(row.name), state, *map(Text, (row.at, *scores, outcome, *values)))
        yield table


class TrialsView(ABC):
    """Follow trials whose rows a subclass reads, in its method `look`, and guesses the time of.

    Args:
        title: of their table.
        names: of the trials, of which none has begun.
    """

    def __init__(self, title: str, names: Iterable[str]) -> None:
        self.title = title
        self.rows: list[TrialRow] = [queued(name) for name in names]
        self._rows_before: Sequence[TrialRow] = self.rows

    @abstractmethod
    def seconds_left(self) -> float | None:
        """Guess what the trials that have not ended take; None where nothing tells."""

    def drawn(self) -> RenderableType:
        """Return the table of all trials."""
        return TrialTable(self.title, self.rows, self.caption)

    def news(self) -> Sequence[str]:
        """Return a line for each trial that began or ended."""
        lines, self._rows_before = changes(self._rows_before, self.rows), self.rows
        return lines

    @property
    def caption(self) -> str:
        """Return how many trials are in which state, and the time left."""
        left = self.seconds_left()
        return counts(self.rows) + ("" if left is None else f"; about {duration(left)} left")


def _most_telling(rows: Sequence[TrialRow], room: int | None) -> list[TrialRow]:
    """Return at most so many rows in their order: those under way, then failed, then the others."""
    if room is None or len(rows) <= room:
        return list(rows)
    order: list[TrialState] = [*ACTIVE, "failed", "stopped", "finished", "stopped early", "queued"]
    # of those that ended the last ones
    ranked = sorted(
        enumerate(rows),
        key=lambda each: (order.index(each[1].state), each[0] if each[1].state == "queued" else -each[0]),
    )
    return [row for _, row in sorted(ranked[:room], key=lambda each: each[0])]


def _scores(row: TrialRow) -> Iterator[tuple[str, float]]:
    for name, score in (("dev", row.dev), ("test", row.test)):
        if score is not None:
            yield name, score


def queued(name: str) -> TrialRow:
    """Make the row of a trial that has not begun."""
    return TrialRow(name, "queued")


def as_resumed(row: TrialRow) -> TrialRow:
    """Return the row of a trial that goes on where an earlier session was, if it is under way."""
    return replace(row, state="resumed") if row.state == "running" else row
