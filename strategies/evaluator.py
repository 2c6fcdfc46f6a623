"""The project's training as an NNI evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.evaluator.pytorch import LightningModule as NniModule
from pytorch_lightning.callbacks import Timer

from spt.data.encoded.examples import Examples
from spt.tasks import Task
from spt.training.callbacks import CountFlops, EpochListener, OnEpoch, last_epoch, recorders
from spt.training.config import TrainingConfig
from spt.training.fit import Loader, trainer_arguments
from spt.training.history import History
from spt.training.losses import training_loss
from spt.training.recipe import TrainingRecipe
from spt.training.unfinished import checkpoint_path


class EvaluatorModule(TrainingRecipe, NniModule):  # type: ignore[misc]
    """The training recipe under the base class that NNI's strategies ask for."""


class Loaders(pl.LightningDataModule):
    """Train and dev loaders; NNI's one-shot strategies put theirs in their place."""

    def __init__(self, train: Loader, dev: Loader) -> None:
        super().__init__()
        self.train_loader = train
        self.dev_loader = dev

    def train_dataloader(self) -> Any:
        return self.train_loader

    def val_dataloader(self) -> Any:
        return self.dev_loader


def new_evaluator(
    train: Loader,
    dev: Loader,
    task: Task,
    config: TrainingConfig,
    seed: int,
    folder: Path,
    on_epoch: OnEpoch | None = None,
    history: History | None = None,
) -> Lightning:
    """Make an evaluator that keeps its last finished epoch in `folder` and goes on from there.

    Make a new one for each model: NNI's sequential engine reuses an evaluator's trainer, and a trainer
    that has finished trains nothing more.

    Args:
        train: batches of encoded rows, shuffled by epoch.
        dev: batches that the gates train on, or that score.
        task: says how answers are scored.
        config: of the training, with the search's epochs.
        seed: of whatever the training draws.
        folder: of its checkpoint; made where it is missing.
        on_epoch: called after each epoch with its number and dev score.
        history: that rates, loss and dev score of each epoch are written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    loss = training_loss(config.class_weights, task, cast(Examples, train.dataset).labels)
    count = CountFlops(same_shape_same_cost=False)
    callbacks = [count, Timer(), *recorders(history, folder), EpochListener(on_epoch), last_epoch(folder)]
    trainer = Trainer(**trainer_arguments(config, config.epochs, folder, callbacks))
    path = checkpoint_path(folder)
    return Lightning(
        EvaluatorModule(config, task, seed, loss),
        trainer,
        datamodule=Loaders(train, dev),
        fit_kwargs={"ckpt_path": path if path.exists() else None},
    )
