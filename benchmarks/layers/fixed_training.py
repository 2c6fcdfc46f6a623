"""One training of given layers, over a workbench that stays loaded for the next."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from experiments.config import RunConfig
from experiments.run.training import load_workbench, train_layers
from search_spaces.named_layers import named_layers
from spt.evaluation import evaluate
from spt.model import trained
from spt.process.devices import use_threads
from spt.prompts.config import PromptConfig
from spt.training.config import TrainingConfig
from spt.workbench import Workbench
from strategies.options import ManualOptions


def figures_of(config: RunConfig, folder: Path) -> dict[str, Any]:
    """Train the layers of a configuration, score them on test, and return the figures of `FixedTraining`."""
    assert isinstance(config.search, ManualOptions)
    bench = workbench_of(config)
    layers = named_layers(config.search.manual_layers, bench.num_layers)
    model, result = train_layers(bench, layers, folder)
    test = evaluate(model, bench.batches("test", model).loader, bench.spec.task)
    return {
        "dev_metric": result.dev,
        "test_metric": test["metric"],
        "tunable_parameters": sum(p.numel() for _, p in trained(model)),
        "train_flops": result.flops,
        "train_seconds": result.seconds,
        "train_epochs": result.epochs,
    }


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
