"""One run, whole or stage by stage: run, search, train, evaluate."""

from pathlib import Path
from typing import Literal

from rich import print as show

from experiments.commands.options import Config, Folder, Overrides, Quiet
from experiments.console import GOES_ON, exit_codes
from experiments.logs import quiet_libraries


def run(config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False) -> None:
    """Search layers, train their prompts, score dev and test, and write the report.

    What the folder already holds is not repeated: the same command goes on where it was stopped.
    """
    _stage("run", config, overrides, folder, quiet)


def search(config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False) -> None:
    """Search the layers only: writes architecture.json and search/."""
    _stage("search", config, overrides, folder, quiet)


def train(config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False) -> None:
    """Train prompts at the layers of the search, after searching if need be: writes model/."""
    _stage("train", config, overrides, folder, quiet)


def evaluate(
    config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False
) -> None:
    """Score the trained model on dev and test, after training it if need be: writes metrics.json."""
    _stage("run", config, overrides, folder, quiet)


def _stage(
    stage: Literal["run", "search", "train"],
    path: Path,
    overrides: list[str] | None,
    folder: Path | None,
    quiet: bool,
) -> None:
    """Run a stage and those before it in the run's folder, and show what the folder holds."""
    quiet_libraries(quiet)
    with exit_codes(GOES_ON):
        from experiments.config import load_config
        from experiments.keys import parse_overrides

        config = load_config(path, parse_overrides(overrides or []))
        # what is wrong with a config is said before what trains is loaded
        from experiments import pipeline
        from experiments.run.summary import table

        folder = folder or Path("runs") / config.name
        getattr(pipeline, stage)(config, folder)
        if not quiet:
            show(table(folder))
