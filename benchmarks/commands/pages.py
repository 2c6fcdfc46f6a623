"""What is written and printed about the results and the code."""

import typer

from benchmarks import CHECKOUT
from benchmarks.commands.options import measuring


def tables() -> None:
    """Write docs/results.md and the table of the README from benchmarks/results."""
    with measuring():
        from benchmarks.pages.tables import write_pages

        write_pages()


def imports() -> None:
    """Print the rooms and folders with their lines of code; fail for circles and imports the wrong way."""
    from benchmarks.imports import read_modules, report

    text, clean = report(read_modules(CHECKOUT))
    print(text)
    raise typer.Exit(0 if clean else 1)
