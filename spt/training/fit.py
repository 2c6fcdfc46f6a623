"""Train a prompted model with Lightning, and leave it at its best epoch."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, Timer
from torch import nn
from torch.utils.data import DataLoader

from spt.data.encoded.examples import Examples
from spt.errors import TrialFailed
from spt.evaluation import evaluate
from spt.flops import FlopCounter
from spt.model import PromptedModel, trained
from spt.process.devices import chosen_device, lightning_device
from spt.tasks import Task
from spt.training.callbacks import (
    DEV,
    BestEpoch,
    CountFlops,
    EpochListener,
    OnEpoch,
    Patience,
    last_epoch,
    recorders,
)
from spt.training.checkpoint import SafetensorsCheckpoint, load_state
from spt.training.config import TrainingConfig
from spt.training.contrast import contrast
from spt.training.failures import device_memory
from spt.training.head_regression import fit_head
from spt.training.history import History
from spt.training.losses import training_loss
from spt.training.recipe import TrainingRecipe
from spt.training.result import TrainingResult
from spt.training.unfinished import checkpoint_path

Loader = DataLoader[Any]


def trainer_arguments(
    config: TrainingConfig, epochs: int, folder: Path, callbacks: list[Callback]
) -> dict[str, Any]:
    """Return what every Lightning trainer here is made with.

    Args:
        config: of the training.
        epochs: at most, >= 1; a search has a number of its own.
        folder: that checkpoints go to.
        callbacks: all of them: the trainer adds none that show or log.
    """
    return {
        "max_epochs": epochs,
        "precision": "bf16-mixed" if config.precision == "bf16" else "32-true",
        "plugins": [SafetensorsCheckpoint()],
        "callbacks": callbacks,
        "default_root_dir": folder,
        "logger": False,
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
        # whoever shows a training reads where it is from its folder
        "enable_progress_bar": False,
        **lightning_device(chosen_device()),
    }


def fit(
    model: PromptedModel,
    train: Loader,
    dev: Loader | None,
    task: Task,
    config: TrainingConfig,
    seed: int,
    folder: Path,
    on_epoch: OnEpoch | None = None,
    history: History | None = None,
) -> TrainingResult:
    """Train until the epochs are over or patience is, and leave the model at its best epoch.

    Without dev rows all epochs are trained, the last one is kept, and the dev score is NaN.

    A folder that holds a checkpoint of the same training is continued and ends with the same numbers.
    A model without anything to train, such as a verbalizer head alone, is only scored. With contrastive steps
    there are no epochs: the head is fitted after them, to its end.

    Args:
        model: trained in place; it ends on the device that the process has chosen.
        train: batches of encoded rows, shuffled by epoch.
        dev: batches that say which epoch is best; None for a training without a score.
        task: says how answers are scored.
        config: of the training.
        seed: of whatever the training draws, the order of rows aside.
        folder: of its checkpoints, one training each.
        on_epoch: called after each epoch with its number and dev score.
        history: that rates, loss and dev score of each epoch are written to.

    Returns:
        The best dev score, with the steps, seconds and operations of the whole training, parts before a kill
        among them.

    Raises:
        TrialFailed: if the loss is not finite, or the device is out of memory.
    """
    if next(trained(model), None) is None:
        score = nan if dev is None else evaluate(model, dev, task)["metric"]
        return TrainingResult(score, epochs=0, steps=0, seconds=0.0, flops=0, best_epoch=0)
    if config.compile:
        model.compile(dynamic=True)
    training = _Training(model, train, dev, task, config, seed, folder, on_epoch, history)
    return training.by_contrast() if config.contrastive_steps else training.by_epochs()


@dataclass(frozen=True)
class _Training:
    """Hold what `fit` was asked for."""

    model: PromptedModel
    train: Loader
    dev: Loader | None
    task: Task
    config: TrainingConfig
    seed: int
    folder: Path
    on_epoch: OnEpoch | None
    history: History | None

    @property
    def loss(self) -> nn.Module:
        labels = cast(Examples, self.train.dataset).labels
        return training_loss(self.config.class_weights, self.task, labels)

    def by_contrast(self) -> TrainingResult:
        """Draw the features of a class together, and fit the head to them: one pass over the rows."""
        self.model.checkpointing = self.config.checkpointing
        with device_memory():
            stage = contrast(self.model, self.train, self.config, self.seed, self.folder)
        start, counter = monotonic(), FlopCounter()
        try:
            with device_memory(), counter:
                fitted = fit_head(self.model, self.train, self.loss, self.config.precision)
                score = nan if self.dev is None else evaluate(self.model, self.dev, self.task)["metric"]
        except TrialFailed as error:
            error.flops = stage.flops + counter.total
            raise
        if self.dev is not None and self.history is not None:
            self.history.begin_epoch(0)
            self.history.record(0, dev=score, loss=fitted.loss, rate_share=1.0)
        if self.dev is not None and self.on_epoch is not None:
            self.on_epoch(0, score)
        return TrainingResult(
            score,
            epochs=1,
            steps=stage.steps + fitted.steps,
            seconds=stage.seconds + monotonic() - start,
            flops=stage.flops + counter.total,
            best_epoch=1,
        )

    def by_epochs(self) -> TrainingResult:
        """Train with Lightning, or go on where it was killed, and read the best epoch back."""
        module = TrainingRecipe(self.config, self.task, self.seed, self.loss)
        module.set_model(self.model)
        best = BestEpoch(self.folder)
        stop = Patience(DEV, mode="max", patience=self.config.patience)
        timer, count = Timer(), CountFlops()
        watching = [count, timer, *recorders(self.history, self.folder), EpochListener(self.on_epoch)]
        by_dev = [] if self.dev is None else [best, stop]
        callbacks: list[Callback] = [*by_dev, *watching, last_epoch(self.folder)]
        trainer = pl.Trainer(
            **trainer_arguments(self.config, self.config.epochs, self.folder, callbacks),
            gradient_clip_val=self.config.gradient_clip,
            # a list of no dev rows would be wondered at
            limit_val_batches=0 if self.dev is None else None,
        )
        path = checkpoint_path(self.folder)
        try:
            with device_memory():
                # without dev Lightning would wonder what scores it, unless there is a list of none
                dev: Loader | list[Loader] = [] if self.dev is None else self.dev
                trainer.fit(module, self.train, dev, ckpt_path=path if path.exists() else None)
        except TrialFailed as error:
            error.flops = count.total
            raise
        score, best_epoch = nan, trainer.current_epoch
        if self.dev is not None:
            state = load_state(best.path)
            module.load_state_dict(state["state_dict"], strict=False)
            assert best.best_model_score is not None
            score, best_epoch = float(best.best_model_score), int(state["epoch"]) + 1
        # Lightning leaves it on the CPU
        self.model.to(trainer.strategy.root_device)
        return TrainingResult(
            score,
            trainer.current_epoch,
            trainer.global_step,
            timer.time_elapsed(),
            count.total,
            best_epoch,
        )
