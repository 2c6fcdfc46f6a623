"""Layers judged by folds: for each fold a training on the others, and its answers to that fold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.run.training import OnStageEpoch, candidate_folder, epochs_of, train_layers
from spt.architecture import PromptLayers
from spt.errors import TrialFailed
from spt.evaluation import finite_probabilities
from spt.storage.json_files import checked
from spt.storage.tensor_files import read_tensors, write_tensors
from spt.training.callbacks import OnEpoch
from spt.training.result import TrainingResult
from spt.training.unfinished import delete_unfinished
from spt.workbench import Workbench

ADVICE = "Delete it, and the same command trains the fold again."


class FoldAnswers(NamedTuple):
    """Hold what a fold's training gave and took, and its answers to the rows that were held out.

    Attributes:
        result: of the training.
        probabilities: of the held-out rows, at temperature 1, [N, C].
        labels: of those rows, [N], or [N, C] where a row may have several.
    """

    result: TrainingResult
    probabilities: NDArray[Any]
    labels: NDArray[Any]


@dataclass(frozen=True)
class JudgedLayers:
    """Hold the answers of all folds, in order."""

    folds: Sequence[FoldAnswers]

    @property
    def result(self) -> TrainingResult:
        """Return the mean dev score and best epoch of the folds, and what they took together."""
        results = [fold.result for fold in self.folds]
        return TrainingResult(
            dev=fmean(result.dev for result in results),
            epochs=sum(result.epochs for result in results),
            steps=sum(result.steps for result in results),
            seconds=sum(result.seconds for result in results),
            flops=sum(result.flops for result in results),
            best_epoch=round(fmean(result.best_epoch or 0 for result in results)),
        )


def train_candidate(
    workbench: Workbench, search: Path, on_epoch: OnStageEpoch | None, layers: PromptLayers
) -> TrainingResult:
    """Judge a candidate of a search in its own folder, by dev or by folds, or go on there.

    Args:
        workbench: with folds where candidates are judged by these.
        search: folder of the search.
        on_epoch: called after each epoch or fold.
        layers: that get a prompt.

    Raises:
        InputError: if a file to go on from is damaged.
        TrialFailed: if a loss is not finite.
    """
    folder, on_search_epoch = candidate_folder(search, layers), epochs_of("search", on_epoch)
    if workbench.folds is not None:
        return judge(workbench, layers, folder, on_search_epoch).result
    return train_layers(workbench, layers, folder, on_search_epoch).result


def judge(
    workbench: Workbench, layers: PromptLayers, folder: Path, on_epoch: OnEpoch | None = None
) -> JudgedLayers:
    """Train prompts at some layers on each fold's rows, or go on there; a fold that is done is read back.

    Args:
        workbench: with folds.
        layers: that get a prompt.
        folder: of the folds' own folders.
        on_epoch: called after each fold with its number and the mean dev score of the folds so far.

    Raises:
        InputError: if a file to go on from is damaged.
        TrialFailed: if the loss of a fold is not finite.
    """
    folds: list[FoldAnswers] = []
    for number, bench in enumerate(workbench.fold_workbenches):
        try:
            folds.append(_fold(bench, layers, folder / f"fold_{number}"))
        except TrialFailed as error:
            error.flops += sum(fold.result.flops for fold in folds)
            raise
        if on_epoch is not None:
            on_epoch(number, fmean(fold.result.dev for fold in folds))
    return JudgedLayers(folds)


def _fold(workbench: Workbench, layers: PromptLayers, folder: Path) -> FoldAnswers:
    path = folder / "answers.safetensors"
    if not path.exists():
        model, result = train_layers(workbench, layers, folder)
        batches = workbench.batches("dev", model, precision="32")
        chances, labels = finite_probabilities(model, batches.loader, workbench.spec.task)
        tensors = {"probabilities": torch.from_numpy(chances), "labels": torch.from_numpy(labels)}
        write_tensors(path, tensors, {"result": json.dumps(asdict(result))})
        (folder / "best.ckpt").unlink(missing_ok=True)
        delete_unfinished(folder)
    tensors, texts = read_tensors(path, ADVICE)
    result = checked(TrainingResult, json.loads(texts["result"]), f"'{path}'", ADVICE)
    return FoldAnswers(result, np.asarray(tensors["probabilities"]), np.asarray(tensors["labels"]))
