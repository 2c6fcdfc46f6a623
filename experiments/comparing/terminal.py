"""A comparison on the terminal: a bar and a line a run while it goes, tables at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from experiments.comparing.columns import TEST_TITLES, Table, cells_of_test
from experiments.comparing.grid import OnDone, RunOutcome


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


def show(table: Table) -> None:
    """Print a table a condition, and one of the tests."""
    console = Console()
    comparison = table.comparison
    for condition in comparison.conditions:
        rows = [table.cells(row) for row in comparison.rows if row.condition == condition]
        console.print(_rich_table(condition, table.head(condition), rows))
    if comparison.tests:
        rows = [cells_of_test(test) for test in comparison.tests]
        console.print(_rich_table(f"beside {comparison.reference}", TEST_TITLES, rows))


def _rich_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> RichTable:
    rich_table = RichTable(title=title, box=SIMPLE)
    for column, heading in enumerate(head):
        rich_table.add_column(heading, no_wrap=column < 2, overflow="fold")
    for row in rows:
        # brackets would be markup
        rich_table.add_row(*map(Text, row))
    return rich_table
