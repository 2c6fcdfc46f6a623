"""From a file of one's own to a config that runs: init, check."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import AsJson, Overrides
from experiments.console import exit_codes


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV, JSON lines or parquet.")],
    overrides: Overrides = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the config goes.")] = Path(
        "config.yml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Write over a config that is there.")] = False,
) -> None:
    """Look at a file of labelled texts, and write a short config that `spt run` takes.

    Finds encoding, delimiter, header, and which columns are text and label: look its guesses over. KEY=VALUE
    goes into the config; task.text=COLUMN and task.label=COLUMN say which columns are meant.
    """
    with exit_codes("Stopped."):
        from experiments.keys import parse_overrides
        from experiments.own_data.config_file import write_config

        print("\n".join(write_config(file, output, parse_overrides(overrides or []), force)))
        config = shlex.quote(str(output))
        print(f"\n{output} is written. Next: `spt check {config}`, then `spt run {config}`.")


def check(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG", help="Config of a run, an nnictl experiment, or a study's tune.yml."
        ),
    ],
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """List every problem of a config and its data at once, and what they are like: nothing is trained.

    Shows rows and classes of each split, texts that are cut, repeats, contradictions, texts that splits share
    and rare classes. Where nothing else is wrong and the backbone is here, search.budget_flops and the room
    of cache=disk are checked too, on all rows: for a budget the operations of a few steps are counted, which
    takes seconds for each search of a comparison. Ends with 2 if there is a problem.
    """
    with exit_codes("Stopped."):
        from experiments.checking.check import check_file
        from experiments.checking.lines import check_lines
        from experiments.keys import parse_overrides
        from experiments.logs import quiet_libraries

        quiet_libraries(quiet=False)
        result = check_file(config, parse_overrides(overrides or []))
        print(json.dumps(result.as_json(), indent=2) if as_json else "\n".join(check_lines(result)))
    if result.problems:
        raise typer.Exit(2)
