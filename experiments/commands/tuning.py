"""Hyper-parameters: tune."""

import time
from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import Quiet, keys_over
from experiments.console import exit_codes
from experiments.logs import quiet_libraries


def tune(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="YAML file of a study: experiments/tune.yml.")
    ],
    overrides: Annotated[
        list[str] | None, keys_over("those of the file, as trials=40 or run.training.epochs=3")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the study is kept; runs/NAME by default.", show_default=False)
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="host:port of a Ray cluster, or auto on one of its machines; RAY_ADDRESS, or this machine "
            "alone, by default.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study in the folder.")] = False,
    quiet: Quiet = False,
) -> None:
    """Tune hyper-parameters: Ray Tune runs the trials, Optuna chooses their values.

    Writes best.yml, which `spt run` takes, best/ with its run, optuna.journal and report.html.
    """
    quiet_libraries(quiet)
    with exit_codes("Stopped. The same command with --resume goes on."):
        from experiments.keys import parse_overrides
        from experiments.tuning.config import load_tune_config
        from experiments.tuning.progress import study_shown
        from experiments.tuning.session import summary
        from experiments.tuning.session import tune as run_study

        study = load_tune_config(config, parse_overrides(overrides or []))
        folder = folder or Path("runs") / study.name
        start = time.monotonic()
        with study_shown(folder, study, wanted=not quiet):
            result = run_study(study, folder, address=address, resume=resume)
        if not quiet:
            print(summary(study, folder, result, time.monotonic() - start))
