"""A comparison on the terminal: a bar and a line a run while it goes, tables at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from experiments.comparing.columns import Table
from experiments.comparing.grid import OnDone, RunOutcome
from experiments.comparing.groups import Comparison


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
    """Print a table a condition, and the tests."""
    console = Console()
    comparison = table.comparison
    for condition in comparison.conditions:
        shown = RichTable(title=condition, box=SIMPLE)
        for column, title in enumerate(table.head(condition)):
            shown.add_column(title, no_wrap=column < 2, overflow="fold")
        for row in comparison.rows:
            if row.condition == condition:
                shown.add_row(*map(Text, table.cells(row)))
        console.print(shown)
    for sentence in sentences(comparison):
        console.print(Text(sentence))


def sentences(comparison: Comparison) -> list[str]:
    """Write a sentence a test."""
    return [
        f"{test.group} - {comparison.reference}: {100 * test.difference:+.1f} points over {test.pairs} "
        f"pairs, p {test.p:.3f}, by Holm {test.adjusted:.3f}"
        for test in comparison.tests
    ]
