"""Many runs side by side: compare, transfer."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import AsJson, Config, Folder, Overrides, Quiet, Workers
from experiments.console import GOES_ON, exit_codes
from experiments.logs import quiet_libraries


def compare(
    experiment: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="nnictl file with choices, as experiments/compare.yml, or a run's CONFIG."
        ),
    ],
    overrides: Overrides = None,
    folder: Folder = None,
    workers: Workers = 0,
    truth: Annotated[
        Path | None,
        typer.Option(help="Table of `python -m benchmarks table` that judges layers.", show_default=False),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Group to test the others against.", show_default="the first")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Run every combination of choices, and compare them over seeds and tasks.

    KEY=[VALUE, ...] gives a key choices, as "search.strategy=\\[spt_darts, random]" "seed=[0, 1, 2]"; those
    that the file gives it are replaced.

    What the folder already holds is not repeated, be it by this command or by nnictl.
    """
    quiet_libraries(quiet)
    with exit_codes(GOES_ON):
        from experiments.comparing.compare import compare_experiment
        from experiments.comparing.experiment_file import Experiment
        from experiments.keys import parse_overrides

        changes = parse_overrides(overrides or [])
        grid = Experiment.load(experiment)
        folder = folder or Path("runs") / grid.name
        failed = compare_experiment(grid, changes, folder, quiet or as_json, workers, truth, reference)
        if as_json:
            print((folder / "results.json").read_text(encoding="utf-8"), end="")
    if failed:
        raise typer.Exit(1)


def transfer(
    source: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder or architecture.json with the layers.")
    ],
    config: Config,
    overrides: Overrides = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each.")] = 5,
    folder: Annotated[Path, typer.Option(help="Where the runs are kept.")] = Path("runs/transfer"),
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Train layers found elsewhere on CONFIG's task and backbone, beside a search there, over seeds.

    A backbone of another depth gets them at the same relative depths.
    """
    quiet_libraries(quiet)
    with exit_codes(GOES_ON):
        from experiments.comparing.compare import compare_and_show
        from experiments.comparing.transfer import transfer_cells
        from experiments.keys import as_arguments, parse_overrides

        changes = parse_overrides(overrides or [])
        cells = transfer_cells(source, config, changes, seeds)
        failed = compare_and_show(
            cells,
            folder,
            f"Layers of {source.name}",
            shlex.join(["spt", "transfer", str(source), str(config), "--seeds", str(seeds)])
            + as_arguments(changes),
            quiet,
            workers=workers,
        )
    if failed:
        raise typer.Exit(1)
