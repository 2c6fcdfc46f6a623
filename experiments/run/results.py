"""What a run found, in its folder: `RunMetrics` is metrics.json, `SearchResult` is search/search.json.

One name, one meaning, in every JSON file of this project: `search_...` is of the search alone, `train_...`
of the training of what it found, `total_...` of both together. `flops`, `steps` and `seconds` alone are those
of the one training, step or charge that a record is about. `dev_metric` and `test_metric` are the task's
metric, whose name is under `metric`: the number that dev selects by, trials report, tuning optimises and
comparisons rank.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from experiments.run.answers import AnswerMetrics
from experiments.run.simple_baselines.scores import BaselineScore
from spt.metrics import Metric
from spt.process.provenance import PROVENANCE, Provenance
from spt.storage.files import write_text
from spt.storage.json_files import adapter, checked, read_json
from spt.training.result import TrainingResult
from strategies.costs import ScoredSubset

# before metrics named the task's metric
RENAMED_METRICS = {
    "f1": "test_f1",
    "steps": "train_steps",
    "epochs": "train_epochs",
    "seconds": "total_seconds",
}
# before the names of search.json were those of metrics.json
RENAMED_SEARCH = {"seconds": "search_seconds", "steps": "search_steps", "flops": "search_flops"}
FORBID_OTHER_KEYS = ConfigDict(extra="forbid")
ADVICE = "Delete the run's folder and run it again, or choose another folder."


@dataclass(frozen=True)
class SearchResult:
    """What search/search.json holds.

    Attributes:
        layers: that were found.
        evaluations: how many subsets of layers were scored.
        search_seconds: without the training of the layers that were found.
        search_steps: of the optimiser, likewise.
        search_flops: operations, likewise; those of the derivation are among them.
        derivation_flops: operations of reading the layers off a hyper-network.
        derivation: how they were read off; None where there was no hyper-network.
        scores: layer -> what the derivation ranked it by.
        gates: layer -> its learned gate in [0, 1]; None where none is learned.
        front: subsets of layers with their score and cost, of which none is better in both, the cheapest
            first; none where only layers by hand were looked at, and in older files.
        kinds: what each layer gets, by a name of spt.prompts.kinds; none where all get what the section
            `prompt` says.
        kind_scores: layer -> kind -> what the derivation ranked it by, where there are several kinds.
    """

    __pydantic_config__ = FORBID_OTHER_KEYS

    layers: tuple[int, ...]
    evaluations: int
    search_seconds: float
    search_steps: int
    search_flops: int
    derivation_flops: int = 0
    derivation: str | None = None
    scores: Mapping[int, float] | None = None
    gates: Mapping[int, float] | None = None
    front: tuple[ScoredSubset, ...] = ()
    kinds: tuple[str, ...] = ()
    kind_scores: Mapping[int, Mapping[str, float]] | None = None

    @classmethod
    def read(cls, path: Path) -> SearchResult:
        """Read a search.json of this version or an older one.

        Raises:
            InputError: for a missing or an unknown key, or a value of the wrong type.
        """
        content = read_json(path, ADVICE)
        if "search_flops" not in content:
            content = _renamed(content, RENAMED_SEARCH)
        # what search.compare_derivations asked for, before it was left to a benchmark
        content.pop("derivations", None)
        return checked(cls, content, f"'{path}'", ADVICE)

    def as_json(self) -> dict[str, Any]:
        """Return the keys and values that JSON has."""
        return dict(adapter(SearchResult).dump_python(self, mode="json"))

    def write(self, path: Path) -> None:
        """Write a search.json."""
        _write(path, self.as_json())


def read_training(path: Path) -> TrainingResult:
    """Read a train.json.

    Raises:
        InputError: if it is damaged.
    """
    advice = "Delete it to train again."
    return checked(TrainingResult, read_json(path, advice), f"'{path}'", advice)


@dataclass(frozen=True)
class RunMetrics:
    """What metrics.json holds.

    Attributes:
        layers: that have a prompt, of `layers_total`.
        kinds: what each of the layers gets, as of SearchResult.
        metric: name of the task's metric.
        dev_metric: the task's metric on dev, by which dev selects.
        dev_accuracy: share of rows whose answer is all right: its label, or all its labels.
        test_f1: binary on class 1 for tasks of two classes whose metric is F1, macro for others.
        test_macro_f1: mean over the classes; likewise `dev_macro_f1`; None in older files, as the next two.
        test_weighted_f1: mean over the classes by their rows; likewise `dev_weighted_f1`.
        test_micro_f1: over all rows and classes together, and the next two, where a row may have several
            labels; None where it has one.
        test_mean_average_precision: mean over the classes.
        test_label_ranking: label ranking average precision.
        gates: layer -> its learned gate in [0, 1]; None where none is learned.
        scores: layer -> what the derivation ranked it by; None where there was none.
        evaluations: how many subsets of layers the search scored.
        tunable_parameters: of prompts and head together.
        search_seconds: of the search, without the training of what it found.
        train_seconds: of that training.
        total_seconds: of both.
        train_steps: of the optimiser; likewise `search_steps`.
        train_flops: operations; likewise `search_flops` and `total_flops`.
        train_size: rows; likewise `dev_size` and `test_size`.
        warnings: signs of a collapse, each with what to try; none in older files.
        cut_texts: share of each split's texts that lost their end, in [0, 1]; None in older files.
        answers: calibration, and accuracy where the model is sure; None in older files.
        class_weights: of each class in the loss; None where every row weighed the same.
        left_out: rows of each split of the source that had no text or no label.
        fold_metrics: the task's metric on each fold, whose mean `dev_metric` is then; None without folds.
        baselines: scores of what needs no prompt; None where they were not asked for, and in older files.
        test_interval: of `test_metric`, at 95 % over the rows of test; None where these do not say how far it
            may be off, and in older files.
        prompt_tuning_flops: operations that training one free prompt at the input on the same rows for all
            of training.epochs, without an early stop, would take, estimated; None under contrastive steps,
            which read no epochs, and in older files.
    """

    __pydantic_config__ = FORBID_OTHER_KEYS

    task: str
    backbone: str
    strategy: str
    seed: int
    layers: tuple[int, ...]
    layers_total: int
    metric: Metric
    dev_metric: float
    test_metric: float
    dev_accuracy: float
    test_accuracy: float
    test_f1: float
    gates: Mapping[int, float] | None
    scores: Mapping[int, float] | None
    evaluations: int
    prompt_parameters: int
    head_parameters: int
    tunable_parameters: int
    search_seconds: float
    train_seconds: float
    total_seconds: float
    search_steps: int
    train_steps: int
    train_epochs: int
    search_flops: int
    train_flops: int
    total_flops: int
    train_size: int
    dev_size: int
    test_size: int
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    answers: AnswerMetrics | None = None
    cut_texts: Mapping[str, float] | None = None
    dev_macro_f1: float | None = None
    test_macro_f1: float | None = None
    dev_weighted_f1: float | None = None
    test_weighted_f1: float | None = None
    test_micro_f1: float | None = None
    test_mean_average_precision: float | None = None
    test_label_ranking: float | None = None
    class_weights: Mapping[str, float] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    fold_metrics: tuple[float, ...] | None = None
    baselines: Mapping[str, BaselineScore] | None = None
    test_interval: tuple[float, float] | None = None
    prompt_tuning_flops: int | None = None
    kinds: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> RunMetrics:
        """Read a metrics.json of this version or an older one.

        Raises:
            InputError: for a missing or an unknown key, or a value of the wrong type.
        """
        content = with_current_names(read_json(path, ADVICE))
        provenance = {key: content.pop(key, None) for key in PROVENANCE}
        return checked(cls, {**content, "provenance": provenance}, f"'{path}'", ADVICE)

    def as_json(self) -> dict[str, Any]:
        """Return the keys and values that JSON has, those of the provenance among them."""
        content = adapter(RunMetrics).dump_python(self, mode="json")
        provenance = content.pop("provenance")
        return {**content, **provenance}

    def write(self, path: Path) -> None:
        """Write a metrics.json."""
        _write(path, self.as_json())


def with_current_names(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return all or some of a run's metrics, of this version or an older one, under today's names.

    Files from before `metric` was noted differ in this: `seconds` is of search and training together,
    `train_flops` too where there is no `total_flops` (comparisons of methods and of strategies), the metric
    has no name, and where accuracy alone was noted, it is the task's metric.
    """
    if "metric" in metrics:
        return dict(metrics)
    current = _renamed(metrics, RENAMED_METRICS)
    if "search_seconds" in current and "train_seconds" in current:
        current["total_seconds"] = current["search_seconds"] + current["train_seconds"]
    if "train_flops" in current and "total_flops" not in current:
        current["total_flops"] = current.pop("train_flops")
    for split in ("dev", "test"):
        if f"{split}_accuracy" in current:
            current.setdefault(f"{split}_metric", current[f"{split}_accuracy"])
    return {**current, "metric": _metric_of(current)}


def _metric_of(metrics: Mapping[str, Any]) -> Metric:
    """Tell the metric from its values, which each are made of accuracy and F1 or are of Matthews."""
    accuracy, f1, test = (metrics.get(f"test_{name}") for name in ("accuracy", "f1", "metric"))
    if test == accuracy and metrics.get("dev_metric") == metrics.get("dev_accuracy"):
        return "accuracy"
    if test == f1:
        return "f1"
    if accuracy is not None and f1 is not None and test == (accuracy + f1) / 2:
        return "accuracy_and_f1"
    return "matthews"


def _renamed(content: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in content.items()}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")
