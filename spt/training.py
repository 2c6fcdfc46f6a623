"""Training the prompts and the head of a prompted model with Lightning."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pydantic import BaseModel, ConfigDict, Field
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, Timer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spt.data import Batch
from spt.errors import TrialFailed
from spt.evaluation import evaluate
from spt.flops import FlopCounter
from spt.model import PromptedModel, trained
from spt.precision import Precision
from spt.tasks import Task, score
from spt.training_state import SafetensorsCheckpoint, load_state

DEV = "dev"
Loader = DataLoader[Any]
OnEpoch = Callable[[int, float], None]


class TrainingConfig(BaseModel):
    """How prompts and head are trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(10, ge=1, description="Passes over the training split.")
    batch_size: int = Field(32, ge=1, description="Examples a step.")
    eval_batch_size: int = Field(64, ge=1, description="Examples a batch in evaluation and prediction.")
    learning_rate: float = Field(0.01, gt=0, description="Peak rate of AdamW for prompts and head.")
    weight_decay: float = Field(0.01, ge=0, description="Of AdamW.")
    warmup: float = Field(
        0.06, ge=0, lt=1, description="Share of the steps with a rising rate; linear decay after."
    )
    gradient_clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    patience: int = Field(5, ge=1, description="Epochs without a better dev score before training stops.")
    precision: Precision = Field("32", description="bf16 autocasts the forward pass.")
    checkpointing: bool = Field(
        False, description="Run layers twice instead of keeping their activations: less memory, more time."
    )
    compile: bool = Field(
        False, description="torch.compile the layers above the first prompt, outside of searches."
    )


class PromptTuning(pl.LightningModule):
    """Cross-entropy on the logits, AdamW with linear warm-up and decay, dev score after each epoch.

    The model is set apart from the recipe, in the way NNI's evaluators do, so that one recipe trains any
    model of a search.
    """

    def __init__(self, config: TrainingConfig, task: Task, seed: int) -> None:
        super().__init__()
        self.config = config
        self.task = task
        self.seed = seed
        self.strict_loading = False
        self._answers: list[tuple[Tensor, Tensor]] = []

    @property
    def model(self) -> PromptedModel:
        """The model that trains."""
        model = self._model
        assert isinstance(model, PromptedModel)
        return model

    def set_model(self, model: nn.Module) -> None:
        """Train this model from now on."""
        self._model = model
        self.model.checkpointing = self.config.checkpointing

    def on_train_epoch_start(self) -> None:
        """Make an epoch depend on nothing but the seed and its number, so that a resumed run repeats it."""
        torch.manual_seed(self.seed * 10_007 + self.current_epoch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = nn.functional.cross_entropy(self.model(batch).logits, batch["labels"])
        self.check_finite(loss, batch_idx)
        return loss

    def check_finite(self, loss: Tensor, batch_idx: int) -> None:
        """End the training where the loss has left the numbers; every 20th step only, to let GPUs run ahead.

        Raises:
            TrialFailed: if the loss is not finite.
        """
        if (batch_idx % 20 == 0 or not loss.is_cuda) and not torch.isfinite(loss):
            raise TrialFailed(
                f"The loss is {loss.item()} in epoch {self.current_epoch}, step {batch_idx}. "
                f"Lower training.learning_rate (now {self.config.learning_rate})."
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._answers.append((batch["labels"], self.model(batch).logits.argmax(-1)))

    def on_validation_epoch_end(self) -> None:
        labels, predictions = (torch.cat(part).cpu().numpy() for part in zip(*self._answers, strict=True))
        self._answers.clear()
        self.log(DEV, score(self.task.metric, labels, predictions)["metric"], prog_bar=True)

    def configure_optimizers(self) -> Any:
        parameters = [p for _, p in trained(self.model) if p.requires_grad]
        optimizer = torch.optim.AdamW(
            parameters,
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            # Lightning refuses to clip gradients for a fused one under autocast
            fused=self.config.precision == "32",
        )
        total = int(self.trainer.estimated_stepping_batches)
        warmup = self.config.warmup * total

        def rate(step: int) -> float:
            return min((step + 1) / (warmup + 1), (total - step) / max(1.0, total - warmup), 1.0)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen backbone out of checkpoints."""
        leave_backbone_out(checkpoint, self.model, "_model.")


def leave_backbone_out(checkpoint: dict[str, Any], model: PromptedModel, prefix: str) -> None:
    """Keep only what trains of a Lightning checkpoint, where the model's names begin with `prefix`."""
    kept = {f"{prefix}{name}" for name, _ in trained(model)}
    checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k in kept}


class Progress(Callback):
    """Tells each epoch's dev score to whoever listens, and counts what training took."""

    def __init__(self, on_epoch: OnEpoch | None) -> None:
        self.on_epoch = on_epoch

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.on_epoch and not trainer.sanity_checking:
            self.on_epoch(trainer.current_epoch, float(trainer.callback_metrics[DEV]))


class CountFlops(Callback):
    """Counts the operations of all steps, evaluation included; a resumed training goes on counting.

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
            self._counter.__enter__()  # type: ignore[no-untyped-call]

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
        counter.__exit__(None, None, None)  # type: ignore[no-untyped-call]
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
    """Early stopping that a resumed training remembers: Lightning would train one more epoch."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class BestEpoch(ModelCheckpoint):
    """Keeps the weights of the best dev score; a run folder may be moved before it is resumed."""

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


def trainer_arguments(
    config: TrainingConfig, epochs: int, folder: Path, callbacks: list[Callback]
) -> dict[str, Any]:
    """What every Lightning trainer of this project is made with; checkpoints go to folder/last.ckpt."""
    return {
        "max_epochs": epochs,
        "precision": "bf16-mixed" if config.precision == "bf16" else "32-true",
        "plugins": [SafetensorsCheckpoint()],
        "callbacks": callbacks,
        "default_root_dir": folder,
        "logger": False,
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
        "enable_progress_bar": sys.stderr.isatty() and logging.getLogger("spt").level < logging.ERROR,
        "accelerator": "auto",
        "devices": 1,
    }


def last_epoch(folder: Path) -> ModelCheckpoint:
    """Keeps the last finished epoch at `checkpoint_path`, to go on from."""
    return ModelCheckpoint(folder, "last", enable_version_counter=False, save_on_train_epoch_end=True)


def checkpoint_path(folder: Path) -> Path:
    """Where a training's last finished epoch is kept."""
    return folder / "last.ckpt"


@dataclass(frozen=True)
class Fit:
    """What a training gave, the best dev score, and what it took: epochs, optimiser steps, seconds, FLOPs."""

    dev: float
    epochs: int
    steps: int
    seconds: float
    flops: int


def fit(
    model: PromptedModel,
    train: Loader,
    dev: Loader,
    task: Task,
    config: TrainingConfig,
    seed: int,
    folder: Path,
    on_epoch: OnEpoch | None = None,
) -> Fit:
    """Train until the epochs are over or patience is, and leave the model at its best epoch.

    A folder that holds a checkpoint of the same training is continued and ends with the same numbers.
    A model without anything to train, such as a verbalizer head alone, is only scored.

    Raises:
        TrialFailed: if the loss is not finite.
    """
    if next(trained(model), None) is None:
        return Fit(evaluate(model, dev, task)["metric"], epochs=0, steps=0, seconds=0.0, flops=0)
    module = PromptTuning(config, task, seed)
    module.set_model(model)
    if config.compile:
        model.compile(dynamic=True)
    best = BestEpoch(folder)
    last = last_epoch(folder)
    stop = Patience(DEV, mode="max", patience=config.patience)
    timer, count = Timer(), CountFlops()
    callbacks: list[Callback] = [best, stop, count, timer, Progress(on_epoch), last]
    trainer = pl.Trainer(
        **trainer_arguments(config, config.epochs, folder, callbacks),
        gradient_clip_val=config.gradient_clip,
    )
    path = checkpoint_path(folder)
    try:
        trainer.fit(module, train, dev, ckpt_path=path if path.exists() else None)
    except TrialFailed as error:
        error.flops = count.total
        raise
    module.load_state_dict(load_state(best.path)["state_dict"], strict=False)
    # Lightning leaves it on the CPU
    model.to(trainer.strategy.root_device)
    assert best.best_model_score is not None
    return Fit(
        float(best.best_model_score),
        trainer.current_epoch,
        trainer.global_step,
        timer.time_elapsed(),
        count.total,
    )
