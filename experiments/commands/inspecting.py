"""What files say, without training: runs, top, report, config, audit."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import AsJson, Overrides
from experiments.console import exit_codes


def runs(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where the runs are.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List runs, the one that changed last first: state, layers, scores in percent, and age.

    States: running, finished, stopped (the same command goes on), failed, damaged; searched and trained
    where that was all that was asked for.
    """
    with exit_codes("Stopped."):
        import json
        import time
        from dataclasses import asdict

        from rich import print as show

        from experiments.run.listing import list_runs, runs_table

        listed = list_runs(folder)
        if as_json:
            print(json.dumps([asdict(run) for run in listed], indent=2))
        elif listed:
            show(runs_table(listed, time.time()))
        else:
            print(f"There are no runs in '{folder}'.")


def top(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, a comparison or a study.")],
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
) -> None:
    """Show where a run, a comparison or a study is, until it ends; from its files, whoever runs it.

    A run that nobody runs and that is not finished is stopped: its command goes on with it.
    """
    with exit_codes("Stopped looking. What runs goes on."):
        from rich.console import Console

        from experiments.top import top as look

        look(folder, once, Console(highlight=False))


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a finished run.")],
) -> None:
    """Write the report of a finished run anew: report.html, and its pictures as SVG and PNG in figures/.

    A run of an older version gets a report too, which says what that version did not note.
    """
    with exit_codes("Stopped."):
        from experiments.run.report import report_again

        print(report_again(folder))


def show_config(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="YAML file to resolve.", show_default=False)
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Print every key with its default and what it does; with a file, the configuration it resolves to.

    Both are YAML that `spt run` accepts.
    """
    with exit_codes("Stopped."):
        import yaml

        from experiments.config import RunConfig, load_config
        from experiments.keys import parse_overrides
        from experiments.schema import schema_lines

        if config is None:
            print("\n".join(schema_lines(RunConfig)))
            return
        resolved = load_config(config, parse_overrides(overrides or []))
        print(yaml.safe_dump(resolved.model_dump(mode="json"), sort_keys=False, allow_unicode=True), end="")


def audit(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of a saved prompt or of a backbone.")
    ],
    as_json: AsJson = False,
) -> None:
    """Say what a folder that others made holds, and what is wrong with it, without loading it.

    Looks for pickles, code, links that lead outside, damaged files, wrong digests, and sizes that cannot be.

    Ends with 2 if anything is wrong.
    """
    with exit_codes("Stopped."):
        from experiments.audit import audit_json, audit_lines
        from spt.audit.report import audit as audit_folder

        result = audit_folder(folder)
        print(audit_json(folder, result) if as_json else "\n".join(audit_lines(folder, result)))
    if result.problems:
        raise typer.Exit(2)
