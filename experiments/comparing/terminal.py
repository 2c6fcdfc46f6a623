"""A comparison on the terminal: a bar and a line a run while it goes, tables at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from experiments.comparing.columns import LAYERS_TITLE, TEST_TITLES, Table, cells_of_test
from experiments.comparing.grid import OnDone, RunOutcome

# characters that a column of text has at least
LEAST_OF_TEXT = 10


@contextmanager
def progress(total: int, quiet: bool) -> Iterator[OnDone]:
    """Show how many of `total` runs are done, and each one's scores as it ends; nothing with `quiet`."""
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, disable=quiet) as bar:
        task = bar.add_task("runs", total=total)

        def on_done(name: str, outcome: RunOutcome) -> None:
            bar.advance(task)
            if not quiet:
                bar.console.print(Text(line(name, outcome)), soft_wrap=True)

        yield on_done


def line(name: str, outcome: RunOutcome) -> str:
    """Write a line about a run that has ended: its task's metric, or why it failed."""
    if outcome.metrics is None:
        return f"{name}: failed: {outcome.failure}"
    metrics = outcome.metrics
    return f"{name}: dev {metrics['dev_metric']:.3f}, test {metrics['test_metric']:.3f}"


def show(table: Table, width: int | None = None) -> None:
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


def _narrowed(table: Table, condition: str, width: int) -> RichTable:
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


def _least_width(table: RichTable) -> int:
    """Return the characters of a line, with one on both sides of each column, and of its border."""
    return 1 + sum((column.width or column.min_width or 0) + 3 for column in table.columns)


def _rich_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> RichTable:
    """Make a table of columns as wide as their cells, whose titles may stand on several lines."""
    table = RichTable(title=title, box=SIMPLE)
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
