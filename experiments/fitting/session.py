"""A run on rows that are Python objects, in a folder that stays or in one that is cleaned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from experiments.config import RunConfig
from experiments.fitting.class_values import ClassValues
from experiments.pipeline import claimed
from experiments.run.folder import RunFolder
from experiments.run.results import SearchResult, read_training
from experiments.run.training import load_workbench
from spt.data.reading.tables import Rows
from spt.process.devices import process_kept
from spt.serving.classifier import PromptClassifier
from spt.training.by_rows import suited_to_rows


class FittedRun(NamedTuple):
    """Hold what a run on rows ended with.

    Attributes:
        classifier: the trained prompt.
        classes: what the user calls its classes.
        metrics: by the names of metrics.json.
    """

    classifier: PromptClassifier
    classes: ClassValues
    metrics: dict[str, Any]


@process_kept()
def fit_rows(
    config: RunConfig,
    rows: Mapping[str, Rows],
    folder: Path,
    values_of: Callable[[Sequence[str]], ClassValues],
) -> FittedRun:
    """Search and train on rows, and score them where there are rows of test; go on where that was stopped.

    Threads, device and random states of the process are afterwards what they were.

    Args:
        config: of the run, without a source of rows; its training is made to suit the rows of train.
        rows: of train and, where there are some, dev and test, as `Workbench.load` takes them.
        folder: of the run.
        values_of: from the names of the classes to what the user calls them; it may refuse them.

    Raises:
        InputError: as `experiments.pipeline.run`; so for a folder whose run began with other rows.
        TrialFailed: if the loss is not finite, or every candidate fails.
    """
    place, workbench = RunFolder(folder), load_workbench(config, rows)
    # before a search and a training that would be lost
    classes = values_of(workbench.spec.task.labels or ())
    # repeated and incomplete rows, samples and held out rows are no rows that are trained on
    training = suited_to_rows(config.training, workbench.rows("train"), config.head, config.task)
    config = config.model_copy(update={"training": training})
    with claimed(config, place, workbench=replace(workbench, training=training)) as pipeline:
        classifier = pipeline.train()
        metrics = pipeline.evaluate().as_json() if "test" in rows else _untested(config, place, classifier)
    return FittedRun(classifier, classes, metrics)


def _untested(config: RunConfig, folder: RunFolder, classifier: PromptClassifier) -> dict[str, Any]:
    """Return the numbers of a run that has no rows of test."""
    search, training = SearchResult.read(folder.search_result), read_training(folder.training_result)
    return {
        "task": config.task.name,
        "backbone": config.backbone.name,
        "strategy": config.search.strategy,
        "seed": config.seed,
        "layers": list(classifier.architecture.layers),
        "layers_total": classifier.architecture.total,
        "metric": config.task.metric,
        "dev_metric": training.dev,
        "gates": search.as_json()["gates"],
        "scores": search.as_json()["scores"],
        "search_seconds": search.search_seconds,
        "train_seconds": training.seconds,
        "train_epochs": training.epochs,
    }
