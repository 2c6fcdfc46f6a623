"""Folders of runs as they are while a run goes, without the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.config import RunConfig, checked
from experiments.run.folder import RunFolder
from experiments.run.results import SearchResult
from spt.architecture import PromptLayers
from spt.training.progress import TrainingProgress


def plain_config(**sections: Any) -> RunConfig:
    """A configuration whose data and backbone nobody reads."""
    defaults: dict[str, Any] = {
        "search": {"strategy": "spt_darts", "k": 2, "epochs": 4},
        "training": {"epochs": 6},
    }
    return checked({**defaults, **sections}, "the test")


@contextmanager
def held(folder: Path, config: RunConfig | None = None) -> Iterator[RunFolder]:
    """A claimed run folder."""
    place = RunFolder(folder)
    with place.claimed(config or plain_config()):
        yield place


def write_lines(path: Path, *lines: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def write_history(folder: Path, *scores: float) -> None:
    """The epochs of a training, each with a loss of its number's inverse."""
    lines = ({"epoch": i, "dev": dev, "loss": 1 / (i + 1), "rate_share": 0.5} for i, dev in enumerate(scores))
    write_lines(folder / "history.jsonl", *lines)


def write_progress(folder: Path, epoch: int, epochs: int, **values: Any) -> None:
    """A training that is half through an epoch, each of which takes ten seconds."""
    defaults = {"step": 5, "steps": 10, "loss": 0.25, "began": 0, "seconds": 10.0 * epoch + 5}
    folder.mkdir(parents=True, exist_ok=True)
    TrainingProgress(**{"epoch": epoch, "epochs": epochs, **defaults, **values}).write(folder)


def write_search_result(place: RunFolder, layers: tuple[int, ...], gates: dict[int, float] | None) -> None:
    place.search.mkdir(exist_ok=True)
    SearchResult(layers, 0, 1.0, 1, 1, gates=gates).write(place.search_result)
    PromptLayers.of(layers, 6).save(place.architecture)
