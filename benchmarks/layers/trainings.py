"""Trainings of given layers, without a search: many over one backbone, in workers that keep it loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from experiments.comparing.grid import OnDone, RunOutcome, run_jobs
from experiments.config import RunConfig
from experiments.run.folder import numbers_of
from spt.process.cores import cores
from spt.storage.digests import json_digest
from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json

RESULT = "training.json"
ADVICE = "Delete it to train again."


@dataclass(frozen=True)
class FixedTraining:
    """What a training of given layers gave, under the names that these have in a run's metrics.

    Attributes:
        config: digest of the configuration.
    """

    config: str
    dev_metric: float
    test_metric: float
    tunable_parameters: int
    train_flops: int
    train_seconds: float
    train_epochs: int


def run_trainings(
    configs: Mapping[str, RunConfig], folder: Path, workers: int = 0, on_done: OnDone | None = None
) -> dict[str, RunOutcome]:
    """Train every configuration in folder/<name>; what is there already is read back.

    Each gives the numbers that a run of the same configuration gives.

    Args:
        configs: name -> configuration whose strategy is manual; those that follow each other best have data,
            backbone and seed in common, for a worker keeps what it loaded last.
        folder: of the trainings.
        workers: processes at a time; 0 for one a core.
        on_done: told each training as it ends, or is read back.

    Returns:
        name -> outcome, in the order of `configs`; its metrics are the fields of `FixedTraining`.

    Raises:
        InputError: if data, backbone and configuration do not fit together.
    """
    done = {
        name: RunOutcome(metrics)
        for name, config in configs.items()
        if (metrics := stored(config, folder / name))
    }
    for name, outcome in done.items():
        if on_done is not None:
            on_done(name, outcome)
    jobs = {name: partial(train, config) for name, config in configs.items() if name not in done}
    done |= run_jobs(jobs, folder, workers or cores(), on_done)
    return {name: done[name] for name in configs}


def stored(config: RunConfig, folder: Path) -> dict[str, Any] | None:
    """Return what the training of a configuration left in a folder; None if there is none yet."""
    path = folder / RESULT
    if not path.exists():
        return None
    result = checked(FixedTraining, read_json(path, ADVICE), f"'{path}'", ADVICE)
    return asdict(result) if result.config == digest_of(config) else None


def train(config: RunConfig, folder: Path) -> dict[str, Any]:
    """Train the layers of a configuration, score them on test, and keep nothing but the figures."""
    # it loads torch: workers take jobs one at a time, and would wait for each other's imports
    from benchmarks.layers.fixed_training import figures_of  # noqa: PLC0415

    # what a killed training left may be of another configuration, and its seconds are not those of the whole
    shutil.rmtree(folder, ignore_errors=True)
    training = FixedTraining(digest_of(config), **figures_of(config, folder))
    shutil.rmtree(folder)
    folder.mkdir()
    write_text(folder / RESULT, json.dumps(asdict(training)) + "\n")
    return asdict(training)


def digest_of(config: RunConfig) -> str:
    """Name a configuration by all that its numbers depend on."""
    return json_digest(numbers_of(config))
