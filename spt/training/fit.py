"""Train a prompted model with Lightning, and leave it at its best epoch."""

from __future__ import annotations

from math import nan
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, Timer
from torch import nn
from torch.utils.data import DataLoader

from spt.data.examples import Examples
from spt.devices import chosen_device, lightning_device
from spt.errors import TrialFailed
from spt.evaluation import evaluate
from spt.flops import FlopCounter
from spt.model import PromptedModel, trained
from spt.tasks import Task
from spt.training.callbacks import (
    DEV,
    BestEpoch,
    CountFlops,
    OnEpoch,
    Patience,
    Progress,
    checkpoint_path,
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

Loader = DataLoader[Any]


def trainer_arguments(
    config: TrainingConfig, epochs: int, folder: Path, callbacks: list[Callback]
) -> dict[str, Any]:
    """Return what every Lightning trainer here is made with; checkpoints go to folder/last.ckpt."""
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

    Raises:
        TrialFailed: if the loss is not finite, or the device is out of memory.
    """
    if next(trained(model), None) is None:
        score = nan if dev is None else evaluate(model, dev, task)["metric"]
        return TrainingResult(score, epochs=0, steps=0, seconds=0.0, flops=0, best_epoch=0)
    if config.compile:
        model.compile(dynamic=True)
    stages = _fit_by_contrast if config.contrastive_steps else _fit_epochs
    return stages(model, train, dev, task, config, seed, folder, on_epoch, history)


def _fit_by_contrast(
    model: PromptedModel,
    train: Loader,
    dev: Loader | None,
    task: Task,
    config: TrainingConfig,
    seed: int,
    folder: Path,
    on_epoch: OnEpoch | None,
    history: History | None,
) -> TrainingResult:
    """Draw the features of a class together, and fit the head to them: one pass over the rows."""
    model.checkpointing = config.checkpointing
    with device_memory():
        stage = contrast(model, train, config, seed, folder)
        start, counter = monotonic(), FlopCounter()
        with counter:
            fitted = fit_head(model, train, _loss(config, task, train), config.precision)
            score = nan if dev is None else evaluate(model, dev, task)["metric"]
    if dev is not None and history is not None:
        history.begin_epoch(0)
        history.record(0, dev=score, loss=fitted.loss, rate_share=1.0)
    if dev is not None and on_epoch is not None:
        on_epoch(0, score)
    return TrainingResult(
        score,
        epochs=1,
        steps=config.contrastive_steps + fitted.steps,
        seconds=stage.seconds + monotonic() - start,
        flops=stage.flops + counter.total,
        best_epoch=1,
    )


def _fit_epochs(
    model: PromptedModel,
    train: Loader,
    dev: Loader | None,
    task: Task,
    config: TrainingConfig,
    seed: int,
    folder: Path,
    on_epoch: OnEpoch | None,
    history: History | None,
) -> TrainingResult:
    module = TrainingRecipe(config, task, seed, _loss(config, task, train))
    module.set_model(model)
    best = BestEpoch(folder)
    last = last_epoch(folder)
    stop = Patience(DEV, mode="max", patience=config.patience)
    timer, count = Timer(), CountFlops()
    record = recorders(history, folder)
    by_dev = [] if dev is None else [best, stop]
    callbacks: list[Callback] = [*by_dev, count, timer, *record, Progress(on_epoch), last]
    trainer = pl.Trainer(
        **trainer_arguments(config, config.epochs, folder, callbacks),
        gradient_clip_val=config.gradient_clip,
    )
    path = checkpoint_path(folder)
    try:
        with device_memory():
            trainer.fit(module, train, dev, ckpt_path=path if path.exists() else None)
    except TrialFailed as error:
        error.flops = count.total
        raise
    score, best_epoch = nan, trainer.current_epoch
    if dev is not None:
        state = load_state(best.path)
        module.load_state_dict(state["state_dict"], strict=False)
        assert best.best_model_score is not None
        score, best_epoch = float(best.best_model_score), int(state["epoch"]) + 1
    # Lightning leaves it on the CPU
    model.to(trainer.strategy.root_device)
    return TrainingResult(
        score,
        trainer.current_epoch,
        trainer.global_step,
        timer.time_elapsed(),
        count.total,
        best_epoch,
    )


def _loss(config: TrainingConfig, task: Task, train: Loader) -> nn.Module:
    return training_loss(config.class_weights, task, cast(Examples, train.dataset).labels)
