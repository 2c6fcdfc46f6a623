"""SPT-DARTS: sigmoid gates, first-order bi-level training, a consistency term, top-K derivation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from nni.nas.oneshot.pytorch.differentiable import DartsLightningModule
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import Timer
from torch import nn
from torch.optim import Adam, Optimizer

from search_spaces.prompt_layers import PromptLayerSpace, to_sample
from spt.data import Batch
from spt.data.halves import halves
from spt.errors import InputError, unknown
from spt.evaluation import evaluate
from spt.history import History
from spt.model import PromptedModel
from spt.training import Loader, leave_backbone_out
from strategies.consistency import DISTANCES, consistent_loss, pruned_layers
from strategies.derivation import DERIVATIONS, Derived
from strategies.evaluator import EvaluatorModule, Loaders
from strategies.hyper_network import GatedLayer, gate_values, gated_layers


class SptDarts(OneShotStrategy):  # type: ignore[misc]
    """NNI strategy that learns one gate a layer and keeps the K best layers.

    Args:
        gate_learning_rate: Adam's rate for the gates' logits, > 0.
        gate_weight_decay: Adam's decay of the logits towards a gate of one half, >= 0.
        consistency: lambda, weight of the consistency term in the weight step, >= 0; 0 saves its pass.
        distance: of the clean and the pruned output: 'mse' of the head's input or 'kl' of the logits.
        mask_probability: chance of each gate to be pruned in the second pass, in (0, 1).
        warmup_epochs: epochs before the gates move, >= 0.
        gate_every: weight steps for one gate step, >= 1.
        derivation: 'top_k' gates, 'ablation' score, or best 'pruned' subset of the hyper-network.
        seed: of the split of the training data and of the masks.
        history: JSON lines of step, epoch and gates, written as the search goes; None for none.
        record_every: weight steps between two lines of the history, >= 1.

    Raises:
        InputError: for an unknown distance or derivation, or a number out of its range.

    Source: SPT (arXiv 2310.20127); what its public text leaves open is ours: the first-order alternation,
    the distance, the masks, warm-up and the derivations other than top-K.
    """

    def __init__(
        self,
        *,
        gate_learning_rate: float = 0.05,
        gate_weight_decay: float = 1e-3,
        consistency: float = 1.0,
        distance: str = "mse",
        mask_probability: float = 0.5,
        warmup_epochs: int = 1,
        gate_every: int = 1,
        derivation: str = "top_k",
        seed: int = 0,
        history: Path | None = None,
        record_every: int = 10,
    ) -> None:
        super().__init__()
        if distance not in DISTANCES:
            raise unknown("distance", distance, DISTANCES)
        if derivation not in DERIVATIONS:
            raise unknown("derivation", derivation, DERIVATIONS)
        _require("gate_learning_rate", gate_learning_rate, gate_learning_rate > 0, "> 0")
        _require("gate_weight_decay", gate_weight_decay, gate_weight_decay >= 0, ">= 0")
        _require("consistency", consistency, consistency >= 0, ">= 0")
        _require("mask_probability", mask_probability, 0 < mask_probability < 1, "in (0, 1)")
        _require("warmup_epochs", warmup_epochs, warmup_epochs >= 0, ">= 0")
        _require("gate_every", gate_every, gate_every >= 1, ">= 1")
        _require("record_every", record_every, record_every >= 1, ">= 1")
        self.gate_learning_rate = gate_learning_rate
        self.gate_weight_decay = gate_weight_decay
        self.consistency = consistency
        self.distance = DISTANCES[distance]
        self.mask_probability = mask_probability
        self.warmup_epochs = warmup_epochs
        self.gate_every = gate_every
        self.derivation = DERIVATIONS[derivation]
        self.seed = seed
        self.history = None if history is None else History(history)
        self.record_every = record_every

    def default_mutation_hooks(self) -> list[Any]:
        """Gates in the place of the layers' choices."""
        return [GatedLayer.mutate]

    def configure_oneshot_module(self, training_module: Any) -> SptDartsModule:
        """The search steps around the evaluator's recipe."""
        return SptDartsModule(training_module, self)

    def train_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Any) -> Any:
        """The training data in two halves: one for generators and head, one for the gates."""
        weights, gates = halves(train_dataloader_fn(), self.seed)
        return {"train": weights, "val": gates}

    @cached_property
    def derived(self) -> Derived:
        """The layers found, once the search has run."""
        module = cast(EvaluatorModule, self.oneshot_module.training_module)
        # Lightning leaves it on the CPU
        model = cast(PromptLayerSpace, self.supernet).to(self._trainer.strategy.root_device)
        loader: Loader = cast(Loaders, self._mutated_model_space.evaluator.datamodule).dev_loader

        def score() -> float:
            return evaluate(model, loader, module.task)["metric"]

        return self.derivation(model, model.budget, score)

    @property
    def seconds(self) -> float:
        """Training time of the search, over all its sessions."""
        (timer,) = (callback for callback in self._trainer.callbacks if isinstance(callback, Timer))
        return float(timer.time_elapsed())

    @property
    def _trainer(self) -> Any:
        return cast(RawFormatModelSpace, self._mutated_model_space).evaluator.trainer

    def list_models(self, sort: bool = True, limit: int | None = 1) -> Iterator[RawFormatModelSpace]:
        """The one model of the derived layers."""
        budget = cast(PromptLayerSpace, self.supernet).budget
        yield self.model_space.freeze(to_sample(self.derived.layers, budget))


def _require(name: str, value: float, holds: bool, rule: str) -> None:
    if not holds:
        raise InputError(f"The value of {name} is {value}, but must be {rule}.")


class SptDartsModule(DartsLightningModule):  # type: ignore[misc]
    """One search step: the gates on their half of the data, then generators and head on theirs."""

    def __init__(self, training_module: EvaluatorModule, strategy: SptDarts) -> None:
        super().__init__(
            training_module,
            arc_learning_rate=strategy.gate_learning_rate,
            gradient_clip_val=training_module.config.gradient_clip,
            warmup_epochs=strategy.warmup_epochs,
        )
        self.options = strategy
        self.strict_loading = False

    def arch_parameters(self) -> list[nn.Parameter]:
        """The gates' logits, lowest layer first, so that a resumed optimiser finds its state."""
        return [gated.alpha for gated in gated_layers(self.model).values()]

    def configure_architecture_optimizers(self) -> Optimizer:
        return Adam(
            self.arch_parameters(),
            self.options.gate_learning_rate,
            betas=(0.5, 0.999),
            weight_decay=self.options.gate_weight_decay,
        )

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> None:
        moving = self.current_epoch >= self.warmup_epochs
        if moving and batch_idx % self.options.gate_every == 0:
            self._gate_step(batch["val"], batch_idx)
        self._weight_step(batch["train"], batch_idx)
        self.advance_lr_schedulers(batch_idx)
        due = batch_idx % self.options.record_every == 0 or self.trainer.is_last_batch
        if self.options.history and due:
            self.options.history.record(self.current_epoch, step=batch_idx, gates=gate_values(self.model))

    def _gate_step(self, batch: Batch, batch_idx: int) -> None:
        optimizer = self.architecture_optimizers()
        self.toggle_optimizer(optimizer)
        optimizer.zero_grad()
        self.manual_backward(self.training_module.training_step(batch, batch_idx))
        optimizer.step()
        self.untoggle_optimizer(optimizer)

    def _weight_step(self, batch: Batch, batch_idx: int) -> None:
        (optimizer,) = (o for o in self.optimizers() if not getattr(o, "is_arch_optimizer", False))
        self.toggle_optimizer(optimizer)
        options = self.options
        loss = consistent_loss(
            cast(PromptedModel, self.model),
            batch,
            options.consistency,
            options.distance,
            self._mask(batch_idx),
        )
        self.training_module.check_finite(loss, batch_idx)
        self.advance_optimization(loss, batch_idx, self.gradient_clip_val)
        self.untoggle_optimizer(optimizer)

    def _mask(self, batch_idx: int) -> dict[int, float]:
        """This step's pruned gates, from the seed and the step alone, so that resuming repeats them."""
        step = self.current_epoch * 1_000_003 + batch_idx
        generator = torch.Generator().manual_seed(self.options.seed * 10_007 + step)
        return pruned_layers(list(gated_layers(self.model)), self.options.mask_probability, generator)

    def on_train_epoch_start(self) -> None:
        if self.options.history:
            self.options.history.begin_epoch(self.current_epoch)
        super().on_train_epoch_start()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.training_module.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self.training_module.on_validation_epoch_end()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen backbone out of checkpoints."""
        leave_backbone_out(checkpoint, self.model, "training_module._model.")
