"""Training prompts at given layers over a workbench: the same for candidates of a search and what is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from experiments.config import RunConfig
from experiments.run.folder import HISTORY
from experiments.run.unread import unread_notes
from spt.architecture import PromptLayers
from spt.data.reading.tables import Rows
from spt.errors import TrialFailed
from spt.model import PromptedModel
from spt.prefix_cache import PrefixCache
from spt.storage.tensor_files import read_tensors
from spt.training.callbacks import OnEpoch
from spt.training.fit import fit
from spt.training.history import History
from spt.training.result import TrainingResult
from spt.workbench import Workbench

log = logging.getLogger(__name__)

Stage = Literal["search", "train"]
# stage, epoch from 0, dev score
OnStageEpoch = Callable[[Stage, int, float], None]


class TrainedLayers(NamedTuple):
    """A model at its best epoch, and what its training gave and took."""

    model: PromptedModel
    result: TrainingResult


def load_workbench(
    config: RunConfig, rows: Mapping[str, Rows] | None = None, weights: bool = True
) -> Workbench:
    """Load what a configuration's models are trained on.

    Args:
        config: of the run.
        rows: of train and, where there are some, dev and test, as `Workbench.load` takes them; None: from
            where the configuration's data say.
        weights: as of `Workbench.load`.

    Raises:
        InputError: if data, backbone, head and prompt do not fit together.
    """
    for note in unread_notes(config):
        log.warning("%s", note)
    return Workbench.load(
        config.task,
        rows=rows,
        data=config.data,
        backbone=config.backbone,
        head=config.head,
        prompt=config.prompt,
        training=config.training,
        seed=config.seed,
        cache=prefix_cache(config),
        weights=weights,
    )


def prefix_cache(config: RunConfig) -> PrefixCache:
    """Return the cache of hidden states that a configuration asks for."""
    return PrefixCache(config.cache, limit=int(config.cache_gb * 2**30))


def train_layers(
    workbench: Workbench,
    layers: PromptLayers,
    folder: Path,
    on_epoch: OnEpoch | None = None,
    initial_weights: Path | None = None,
) -> TrainedLayers:
    """Train prompts at some layers in a folder, or go on there.

    Args:
        workbench: what they are trained on, and how; without dev rows the last epoch is kept.
        layers: that get a prompt.
        folder: of checkpoints, and of history.jsonl.
        on_epoch: called with epoch and dev score after each epoch.
        initial_weights: a safetensors file of weights to begin with, where it exists.

    Raises:
        InputError: if a file to go on from is damaged.
        TrialFailed: if the loss is not finite.
    """
    model = workbench.factory.model(layers)
    if initial_weights is not None and initial_weights.exists():
        advice = "Choose another folder for the run, or delete this one, and the same command runs it again."
        model.load_state_dict(read_tensors(initial_weights, advice).tensors, strict=False)
    folder.mkdir(parents=True, exist_ok=True)
    train = workbench.batches("train", model, shuffled=True)
    dev = workbench.batches("dev", model) if "dev" in workbench.examples else None
    flops_of_states = train.flops + (dev.flops if dev else 0)
    try:
        result = fit(
            model,
            train.loader,
            dev.loader if dev else None,
            workbench.spec.task,
            workbench.training,
            workbench.seed,
            folder,
            on_epoch,
            epoch_history(folder),
        )
    except TrialFailed as error:
        error.flops += flops_of_states
        raise
    return TrainedLayers(model, replace(result, flops=result.flops + flops_of_states))


def candidate_folder(search: Path, layers: PromptLayers) -> Path:
    """Return where a search keeps the training of a candidate."""
    return search / "candidates" / layers.name


def epochs_of(stage: Stage, on_epoch: OnStageEpoch | None) -> OnEpoch | None:
    """Return what passes on a stage's epochs, if anyone listens."""
    return None if on_epoch is None else partial(on_epoch, stage)


def epoch_history(folder: Path) -> History:
    """Return what keeps the dev score and the mean loss of a training's epochs in its folder."""
    return History(folder / HISTORY)
