"""A comparison on the terminal: where its runs are while it goes, tables and the best ones at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.comparing.columns import LAYERS_TITLE, TEST_TITLES, ComparisonTable, cells_of_test
from experiments.comparing.conclusion import best_row
from experiments.comparing.grid import OnDone, RunOutcome
from experiments.comparing.groups import DEV, SCORE, Comparison, Row
from experiments.live.grid_progress import SessionGridView
from experiments.live.screen import progress_console, showing
from spt.metrics import TITLES
from spt.reports.wording import percent

# characters that a column of text has at least
LEAST_OF_TEXT = 10


@contextmanager
def progress(title: str, folder: Path, names: Sequence[str], quiet: bool) -> Iterator[OnDone]:
    """Show where the runs of a comparison are, beside the body; nothing with `quiet`.

    Args:
        title: of the comparison.
        folder: of the runs.
        names: of the runs' folders below it.
        quiet: show nothing.
    """
    view = SessionGridView(title, folder, names)

    def on_done(name: str, outcome: RunOutcome) -> None:
        if outcome.failure is not None:
            view.failures[name] = outcome.failure

    with nullcontext() if quiet else showing(view, progress_console(), stays=True):
        yield on_done


def line(name: str, outcome: RunOutcome) -> str:
    """Write a line about a run that has ended: its task's metric, or why it failed."""
    if outcome.metrics is None:
        return f"{name}: failed: {outcome.failure}"
    metrics = outcome.metrics
    return f"{name}: dev {metrics['dev_metric']:.3f}, test {metrics['test_metric']:.3f}"


def show(table: ComparisonTable, width: int | None = None) -> None:
    """Print a table a condition, and one of the tests.

    Args:
        table: of which the last columns of numbers are left out where the terminal is too narrow for them.
        width: of the terminal in characters; None for what it says, or 80.
    """
    console = Console(width=width)
    comparison = table.comparison
    for condition in comparison.conditions:
        console.print(_narrowed(table, condition, console.width))
    if comparison.tests:
        rows = [cells_of_test(test) for test in comparison.tests]
        console.print(_rich_table(f"beside {comparison.reference}", TEST_TITLES, rows))


def best_lines(comparison: Comparison) -> Iterator[str]:
    """Yield for each condition which group is best on dev, by the mean over its seeds, and its test score."""
    for condition in comparison.conditions:
        best = best_row(comparison, condition)
        if best is not None:
            yield f"best on dev, {condition}: {best.group}, {_scores(best, comparison)}"


def _scores(row: Row, comparison: Comparison) -> str:
    metric = TITLES[comparison.metric_on(row.condition)]
    scores = [
        f"{split} {metric} {percent(row.numbers[key].mean)}"
        for split, key in (("dev", DEV), ("test", SCORE))
        if key in row.numbers
    ]
    seeds = f" (mean of {row.runs} seeds)" if row.runs > 1 else " (one seed)"
    return ", ".join(scores) + seeds


def _narrowed(table: ComparisonTable, condition: str, width: int) -> Table:
    """Make the table of a condition with as many columns of numbers as there is room for, at least two."""
    columns = table.shown
    for count in range(len(columns), 1, -1):
        fewer = replace(table, columns=columns[:count])
        rows = [fewer.cells(row) for row in table.comparison.rows if row.condition == condition]
        rich_table = _rich_table(condition, fewer.head(condition), rows)
        if count < len(columns):
            left_out = ", ".join(column.title for column in columns[count:])
            rich_table.caption = f"further columns in table.csv: {left_out}"
        if _least_width(rich_table) <= width:
            break
    return rich_table


def _least_width(table: Table) -> int:
    """Return the characters of a line, with one on both sides of each column, and of its border."""
    return 1 + sum((column.width or column.min_width or 0) + 3 for column in table.columns)


def _rich_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Make a table of columns as wide as their cells, whose titles may stand on several lines."""
    table = Table(title=title, box=SIMPLE)
    lines = list(rows)
    for column, heading in enumerate(head):
        cells = [line[column] for line in lines]
        if column == 0 or heading == LAYERS_TITLE:
            # long names of groups, and the layers of many seeds, may stand on several lines
            table.add_column(heading, overflow="fold", min_width=LEAST_OF_TEXT)
        else:
            table.add_column(heading, width=max(map(len, [*heading.split(), *cells]), default=0))
    for line in lines:
        # brackets would be markup
        table.add_row(*map(Text, line))
    return table
