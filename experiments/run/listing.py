"""The runs below a folder: what each is of, how far it has come, and its scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table
from rich.text import Text

from experiments.run.folder import LOCK, RunFolder, stored_config
from experiments.run.results import RunMetrics
from spt.architecture import PromptLayers, layers_text
from spt.errors import InputError

# searched and trained: `spt search` or `spt train` ended there, and nothing after it began
State = Literal["running", "finished", "trained", "searched", "stopped", "failed", "damaged"]
# a comparison holds runs, and nnictl's experiments lie below one more folder
DEPTH = 3
# the folder of a study, whose trials are in Ray's storage and whose best run is in best/
STUDY, BEST = "tune.yml", "best"
UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


@dataclass(frozen=True)
class ListedRun:
    """One run of a list.

    Attributes:
        folder: of the run, below the folder that was asked about.
        state: how far it has come.
        task: its name; None where the run's config.yml cannot be read. Likewise the backbone, the strategy
            and the seed.
        layers: that have a prompt; None before they are known.
        layers_total: of the backbone.
        kinds: what each of the layers gets; none where all get what the section `prompt` says.
        metric: name of the task's metric.
        dev_metric: the task's metric on dev; None before the run is finished. Likewise `test_metric`.
        failure: why it failed.
        changed: when the run last wrote something, in seconds since 1970.
    """

    folder: str
    state: State
    task: str | None
    backbone: str | None
    strategy: str | None
    seed: int | None
    layers: tuple[int, ...] | None
    layers_total: int | None
    metric: str | None
    dev_metric: float | None
    test_metric: float | None
    failure: str | None
    changed: float
    kinds: tuple[str, ...] = ()


def list_runs(folder: Path) -> list[ListedRun]:
    """List the runs in a folder and in those below it, the one that changed last first.

    Raises:
        InputError: if there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(
            f"There is no folder '{folder}'. Runs are kept in runs/ of the folder they began in."
        )
    runs = [_listed(run, folder) for run in run_folders(folder)]
    return sorted(runs, key=lambda run: run.changed, reverse=True)


def runs_table(runs: list[ListedRun], now: float) -> Table:
    """Make a rich table of runs.

    Args:
        runs: in the order of the rows.
        now: seconds since 1970, from which ages are counted.
    """
    table = Table(box=None, pad_edge=False)
    for title in ("run", "state", "task", "strategy", "layers", "dev", "test", "age"):
        table.add_column(title, overflow="fold", no_wrap=title == "age")
    for run in runs:
        layers = None if run.layers is None else layers_text(run.layers, run.kinds, " ")
        scores = map(_percent, (run.dev_metric, run.test_metric))
        cells = [run.folder, run.state, run.task, run.strategy, layers, *scores, age(now - run.changed)]
        # brackets would be markup
        table.add_row(*(Text(cell or "-") for cell in cells))
    return table


def age(seconds: float) -> str:
    """Write a time in its largest unit: 7300 -> '2 h'."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds / size)} {unit}"
    return "now"


def _percent(fraction: float | None) -> str | None:
    return None if fraction is None else f"{100 * fraction:.1f}"


def run_folders(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Yield the folders of runs in a folder and in those below it, and look into none of them."""
    if (folder / STUDY).is_file():
        if (folder / BEST / "config.yml").is_file():
            yield folder / BEST
    elif (folder / "config.yml").is_file():
        yield folder
    elif depth:
        for child in sorted(path for path in folder.iterdir() if path.is_dir()):
            # a folder that may not be read holds no run of this user
            with suppress(PermissionError):
                yield from run_folders(child, depth - 1)


def _listed(path: Path, above: Path) -> ListedRun:
    place = RunFolder(path)
    config, state = stored_config(path), state_of_run(place)
    metrics: RunMetrics | None = None
    layers: PromptLayers | None = None
    try:
        metrics = RunMetrics.read(place.metrics) if place.metrics.exists() else None
        layers = PromptLayers.load(place.architecture) if place.architecture.exists() else None
    except InputError:
        state = "damaged"
    return ListedRun(
        folder=str(path if path == above else path.relative_to(above)),
        state=state if config else "damaged",
        task=config.task.name if config else None,
        backbone=config.backbone.name if config else None,
        strategy=config.search.strategy if config else None,
        seed=config.seed if config else None,
        layers=layers.layers if layers else None,
        kinds=layers.kinds if layers else (),
        layers_total=layers.total if layers else None,
        metric=config.task.metric if config else None,
        dev_metric=metrics.dev_metric if metrics else None,
        test_metric=metrics.test_metric if metrics else None,
        failure=place.failure.read_text(encoding="utf-8").strip() if place.failure.exists() else None,
        changed=_changed(place),
    )


def state_of_run(place: RunFolder) -> State:
    """Say how far the run in a folder has come."""
    if place.in_use:
        return "running"
    if place.metrics.exists():
        return "finished"
    if place.failure.exists():
        return "failed"
    if place.training_result.exists():
        return "trained"
    if place.architecture.exists() and not place.train.exists():
        return "searched"
    return "stopped"


def _changed(place: RunFolder) -> float:
    """Return when a run wrote last; its lock is touched by whoever asks to hold it."""
    folders = (place.path, place.search, place.train)
    files = (path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.name != LOCK)
    return max(_modified(path) for path in files)


def _modified(path: Path) -> float:
    """Return when a file was written last; 0 for one that a training has just put another in the place of."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
