"""Trainings of given layers, without a search: many over one backbone, in workers that keep it loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from experiments.comparing.grid import OnDone, RunOutcome, run_jobs
from experiments.config import RunConfig
from experiments.run.training import load_workbench, train_layers
from search_spaces.named_layers import named_layers
from spt.cores import cores
from spt.devices import use_threads
from spt.digests import json_digest
from spt.evaluation import evaluate
from spt.files import write_text
from spt.json_files import checked, read_json
from spt.model import trained
from spt.prompts.config import PromptConfig
from spt.training.config import TrainingConfig
from spt.workbench import Workbench
from strategies.options import ManualOptions

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
        on_done: told each training as it ends.

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
    assert isinstance(config.search, ManualOptions)
    bench = workbench_of(config)
    layers = named_layers(config.search.manual_layers, bench.num_layers)
    model, result = train_layers(bench, layers, folder)
    test = evaluate(model, bench.batches("test", model).loader, bench.spec.task)
    training = FixedTraining(
        config=digest_of(config),
        dev_metric=result.dev,
        test_metric=test["metric"],
        tunable_parameters=sum(p.numel() for _, p in trained(model)),
        train_flops=result.flops,
        train_seconds=result.seconds,
        train_epochs=result.epochs,
    )
    for checkpoint in folder.glob("*.ckpt"):
        checkpoint.unlink()
    write_text(folder / RESULT, json.dumps(asdict(training)) + "\n")
    return asdict(training)


def workbench_of(config: RunConfig) -> Workbench:
    """Return a configuration's workbench, over what the last one loaded where only the training differs."""
    common = config.model_copy(
        update={
            "name": "workbench",
            "search": ManualOptions(),
            "training": TrainingConfig(),
            "prompt": PromptConfig(),
        }
    )
    # a prompt among the words changes how texts are encoded
    bench = loaded(config if config.prompt.place == "template" else common)
    return replace(
        bench,
        spec=bench.spec.model_copy(update={"prompt": config.prompt}),
        training=config.training,
    )


@lru_cache(maxsize=1)
def _loaded(stored: str) -> Workbench:
    return load_workbench(RunConfig.model_validate_json(stored))


def loaded(config: RunConfig) -> Workbench:
    """Load a configuration's workbench, or return it where it was the last one loaded here."""
    use_threads(config.threads)
    return _loaded(config.model_dump_json())


def digest_of(config: RunConfig) -> str:
    """Name a configuration by all that its numbers depend on."""
    return json_digest(config.model_dump(mode="json", exclude={"name", "cache", "cache_gb"}))
