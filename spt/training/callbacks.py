"""What watches a training: progress, operations, patience, and the epochs that are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint

from spt.errors import TrialFailed
from spt.flops import FlopCounter
from spt.training.history import History
from spt.training.progress import TrainingProgress, progress_path
from spt.training.unfinished import checkpoint_path

DEV = "dev"
# between two writes of where a training is
PROGRESS_SECONDS = 1.0
OnEpoch = Callable[[int, float], None]


class EpochListener(Callback):
    """Tell each epoch's dev score to whoever listens."""

    def __init__(self, on_epoch: OnEpoch | None) -> None:
        self.on_epoch = on_epoch

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.on_epoch and not trainer.sanity_checking:
            self.on_epoch(trainer.current_epoch, float(trainer.callback_metrics[DEV]))


class RecordEpochs(Callback):
    """Keep each epoch's dev score, mean training loss and mean share of the peak learning rates in a history.

    Raises:
        TrialFailed: if the mean loss is not finite.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self._loss: Any = 0.0
        self._shares: list[float] = []
        self._steps = 0

    @property
    def mean_loss(self) -> float:
        """Return the mean loss of the epoch's steps so far; NaN before the first."""
        return float(self._loss) / self._steps if self._steps else math.nan

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._loss, self._steps, self._shares = 0.0, 0, []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # the gates' optimiser has no schedule
        groups = (group for optimizer in trainer.optimizers for group in optimizer.param_groups)
        peaks = ((group["lr"], group["initial_lr"]) for group in groups if "initial_lr" in group)
        rate, peak = next(peaks, (1.0, 1.0))
        self._shares.append(rate / peak)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # a tensor until the epoch ends, so that no step waits for a GPU
        self._loss = self._loss + outputs["loss"]
        self._steps += 1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # before dev, whose answers are not finite either then
        if not math.isfinite(loss := self.mean_loss):
            raise TrialFailed(
                f"The mean loss of epoch {trainer.current_epoch} is {loss}. Lower training.learning_rate."
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch, loss = trainer.current_epoch, self.mean_loss
        self.history.begin_epoch(epoch)
        share = math.fsum(self._shares) / max(1, len(self._shares))
        dev = float(trainer.callback_metrics[DEV])
        self.history.record(epoch, dev=dev, loss=loss, rate_share=share)


class ReportProgress(Callback):
    """Keep a file that says where the training is, until it ends.

    Args:
        folder: of the training.
        epochs: knows the loss so far.
    """

    def __init__(self, folder: Path, epochs: RecordEpochs) -> None:
        self.folder = folder
        self.epochs = epochs
        self._start = self._written = 0.0
        self._began = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # a training that was killed after its last epoch has none to begin
        self._remove()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start, self._began = time.monotonic(), trainer.current_epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer, 0)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() - self._written >= PROGRESS_SECONDS:
            self._write(trainer, batch_idx + 1)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._remove()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: Any) -> None:
        self._remove()

    def _write(self, trainer: Any, step: int) -> None:
        loss = self.epochs.mean_loss
        self._written = time.monotonic()
        TrainingProgress(
            epoch=trainer.current_epoch,
            epochs=trainer.max_epochs,
            step=step,
            steps=int(trainer.num_training_batches),
            loss=loss if math.isfinite(loss) else None,
            began=self._began,
            seconds=self._written - self._start,
        ).write(self.folder)

    def _remove(self) -> None:
        progress_path(self.folder).unlink(missing_ok=True)


def recorders(history: History | None, folder: Path) -> list[Callback]:
    """Return what keeps a history, if there is one, and says where the training in a folder is meanwhile."""
    if history is None:
        return []
    epochs = RecordEpochs(history)
    return [epochs, ReportProgress(folder, epochs)]


class CountFlops(Callback):
    """Count the operations of all steps, evaluation included; a resumed training goes on counting.

    Args:
        same_shape_same_cost: count each shape of a batch once only, because counting costs time. Not for a
            training whose steps differ, as those of a search do.
    """

    def __init__(self, same_shape_same_cost: bool = True) -> None:
        self.total = 0
        self.same_shape_same_cost = same_shape_same_cost
        self._known: dict[tuple[str, torch.Size], int] = {}
        self._counter: FlopCounter | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.total = state_dict["total"]

    def _start(self, phase: str, batch: Any) -> None:
        if not self.same_shape_same_cost or (phase, batch["input_ids"].shape) not in self._known:
            self._counter = FlopCounter()
            self._counter.__enter__()

    def _end(self, phase: str, batch: Any) -> None:
        counted = self._stop()
        if not self.same_shape_same_cost:
            self.total += counted or 0
            return
        shape = (phase, batch["input_ids"].shape)
        if counted is not None:
            self._known[shape] = counted
        self.total += self._known[shape]

    def _stop(self) -> int | None:
        counter, self._counter = self._counter, None
        if counter is None:
            return None
        counter.__exit__(None, None, None)
        return counter.total

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._start("train", batch)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._end("train", batch)

    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._start("dev", batch)

    def on_validation_batch_end(
        self,
        trainer: Any,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._end("dev", batch)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: Any) -> None:
        self._stop()


class Patience(EarlyStopping):
    """Stop early, also in a resumed training: Lightning would train one more epoch."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class BestEpoch(ModelCheckpoint):
    """Keep the weights of the best dev score; a run folder may be moved before it is resumed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder, "best", monitor=DEV, mode="max", save_weights_only=True, enable_version_counter=False
        )
        self.path = folder / f"best{self.FILE_EXTENSION}"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        path = str(Path(str(self.dirpath)) / self.path.name)
        moved = {
            "dirpath": self.dirpath,
            "best_model_path": path,
            "kth_best_model_path": path,
            "best_k_models": {path: state_dict["best_model_score"]},
        }
        super().load_state_dict({**state_dict, **moved})


def last_epoch(folder: Path) -> ModelCheckpoint:
    """Keep the last finished epoch at `checkpoint_path`, to go on from."""
    name = checkpoint_path(folder).stem
    return ModelCheckpoint(folder, name, enable_version_counter=False, save_on_train_epoch_end=True)
