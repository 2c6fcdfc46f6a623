"""What is written and printed about the results and the code."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import CHECKOUT
from benchmarks.commands.options import measuring


def tables() -> None:
    """Write docs/results.md, and what README has between its comments, from benchmarks/results."""
    with measuring():
        from benchmarks.pages.tables import write_pages

        write_pages()


def screenshots(
    pages: Annotated[list[str], typer.Argument(metavar="NAME=PAGE...", help="Files, or http addresses.")],
    folder: Annotated[Path, typer.Option(help="That gets the pictures.")] = CHECKOUT / "docs" / "screenshots",
    height: Annotated[int, typer.Option(min=0, help="In pixels; 0 for whole pages.")] = 1400,
) -> None:
    """Take pictures of pages at 390 and 1280 pixels, light and dark, with Chromium."""
    with measuring(packages=("playwright",)):
        from benchmarks.pages.screenshots import named_pages, take_screenshots

        for path in take_screenshots(named_pages(pages), folder, height):
            print(f"{path}, {path.stat().st_size / 1000:.0f} kB")


def imports() -> None:
    """Print the rooms and folders with their lines of code; fail for circles and imports the wrong way."""
    from benchmarks.imports import read_modules, report

    text, clean = report(read_modules(CHECKOUT))
    print(text)
    raise typer.Exit(0 if clean else 1)
