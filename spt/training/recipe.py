"""The recipe of a training: loss, optimiser, schedule and dev score."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from spt.answers.decisions import class_probabilities, score_dev
from spt.data.encoded.batches import Batch
from spt.errors import TrialFailed
from spt.evaluation import check_scorable, pool_windows
from spt.model import PromptedModel, trained
from spt.seeds import derived_seed
from spt.tasks import Task
from spt.training.callbacks import DEV
from spt.training.config import TrainingConfig
from spt.training.rates import parameter_groups, rise_and_fall


class TrainingRecipe(pl.LightningModule):
    """Minimise a loss by AdamW with linear warm-up and decay, and score dev after each epoch.

    The model is set apart from the recipe, in the way NNI's evaluators do, so that one recipe trains any
    model of a search.

    Args:
        config: of the training.
        task: says how answers are scored.
        seed: of what an epoch draws, together with the epoch's number.
        loss: of logits and labels.
    """

    def __init__(self, config: TrainingConfig, task: Task, seed: int, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.config = config
        self.task = task
        self.seed = seed
        self.strict_loading = False
        self._answers: list[tuple[Tensor, Tensor, Tensor]] = []

    @property
    def model(self) -> PromptedModel:
        """Return the model that trains."""
        model = self._model
        assert isinstance(model, PromptedModel)
        return model

    def set_model(self, model: nn.Module) -> None:
        """Train this model from now on."""
        self._model = model
        self.model.checkpointing = self.config.checkpointing

    def on_train_epoch_start(self) -> None:
        """Make an epoch depend on nothing but the seed and its number, so that a resumed run repeats it."""
        torch.manual_seed(derived_seed(self.seed, self.current_epoch))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss: Tensor = self.loss(self.model(batch, batch.get("start")).logits, batch["labels"])
        self.check_finite(loss, batch_idx)
        if not loss.requires_grad:
            raise TrialFailed(
                "The loss depends on nothing that trains. Choose prompt layers that the head can see, or a "
                "head that trains (head.kind=classification)."
            )
        return loss

    def check_finite(self, loss: Tensor, batch_idx: int) -> None:
        """End the training where the loss is not finite; every 20th step only, to let GPUs run ahead.

        Raises:
            TrialFailed: if the loss is not finite.
        """
        if (batch_idx % 20 == 0 or not loss.is_cuda) and not torch.isfinite(loss):
            other = ", or set training.precision to 32" if self.config.precision == "bf16" else ""
            raise TrialFailed(
                f"The loss is {loss.item()} in epoch {self.current_epoch}, step {batch_idx}. "
                f"Lower {self.config.named_rates}{other}."
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits = self.model(batch, batch.get("start")).logits
        self._answers.append((batch["rows"], logits, batch["labels"]))

    def on_validation_epoch_end(self) -> None:
        """Score dev.

        Raises:
            TrialFailed: if the probabilities are not finite.
        """
        rows, logits, labels = (torch.cat(part) for part in zip(*self._answers, strict=True))
        answers = pool_windows(rows.cpu(), class_probabilities(logits, self.task).cpu(), labels.cpu())
        self._answers.clear()
        chances = answers.probabilities.numpy()
        check_scorable(chances)
        scores = score_dev(self.task, answers.labels.numpy(), chances)
        self.log(DEV, scores["metric"], prog_bar=True)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            parameter_groups(self.model, self.config),
            weight_decay=self.config.weight_decay,
            # Lightning refuses to clip gradients for a fused one under autocast
            fused=self.config.precision == "32",
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = rise_and_fall(optimizer, steps, self.config.warmup)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen backbone out of checkpoints."""
        leave_backbone_out(checkpoint, self.model, "_model.")


def leave_backbone_out(checkpoint: dict[str, Any], model: PromptedModel, prefix: str) -> None:
    """Keep only what trains of a Lightning checkpoint, where the model's names begin with `prefix`."""
    trained_names = {f"{prefix}{name}" for name, _ in trained(model)}
    checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k in trained_names}
