"""Arguments and options that several commands take: each is written once."""

from pathlib import Path
from typing import Annotated, Any

import typer

Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="YAML file; `spt config` prints one with every key.")
]


def keys_over(those: str) -> Any:
    """Return the argument of dotted keys over those that are named."""
    return typer.Argument(metavar="[KEY=VALUE]...", help=f"Dotted keys over {those}.", show_default=False)


Overrides = Annotated[list[str] | None, keys_over("those of the file, as search.k=3")]
Model = Annotated[
    Path, typer.Argument(metavar="MODEL_FOLDER", help="Folder of a saved prompt, as runs/NAME/model.")
]
Folder = Annotated[
    Path | None, typer.Option(help="Where the run is kept; runs/NAME by default.", show_default=False)
]
Workers = Annotated[int, typer.Option(min=0, help="Processes at a time; 0 for one a core.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table: errors only.")]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="auto|cpu|cuda|cuda:N|mps",
        help="Where torch computes; a GPU where there is one by default.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON in place of text.")]
