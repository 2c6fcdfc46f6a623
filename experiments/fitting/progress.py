"""A bar on the terminal that follows a search and a training."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import current_process

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.config import RunConfig
from experiments.run.training import OnStageEpoch, Stage
from strategies.options import MultiTrialOptions, OneShotOptions


@contextmanager
def epoch_bars(config: RunConfig, wanted: bool) -> Iterator[OnStageEpoch]:
    """Show bars of the epochs on standard error, and yield what must be told each epoch.

    Args:
        config: of the run, which says how many epochs there are at most.
        wanted: False shows nothing; neither do the workers of a grid, nor what is no terminal.
    """
    shown = wanted and sys.stderr.isatty() and current_process().name == "MainProcess"
    columns = (
        TextColumn("{task.description:<7}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[score]}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        totals = _most_epochs(config)
        bars = {
            stage: progress.add_task(stage, total=total, start=False, score="")
            for stage, total in totals.items()
        }

        def on_epoch(stage: Stage, epoch: int, dev: float) -> None:  # noqa: ARG001
            progress.start_task(bars[stage])
            progress.update(bars[stage], advance=1, score=f"dev {config.task.metric} {dev:.3f}")

        yield on_epoch


def _most_epochs(config: RunConfig) -> dict[Stage, int]:
    """Return the most epochs that each stage may take; a stage that takes none is not there."""
    search, training = config.search, config.training.epochs
    if isinstance(search, OneShotOptions):
        return {"search": search.epochs, "train": training}
    if isinstance(search, MultiTrialOptions):
        return {"search": search.evaluations * training, "train": training}
    return {"train": training}
