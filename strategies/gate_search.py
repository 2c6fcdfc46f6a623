"""What one-shot strategies share that learn gates: steps of the gates beside those of the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from torch import Tensor
from torch.optim import Adam, Optimizer

from search_spaces.prompt_layers import PromptLayerSpace
from spt.data.encoded.batches import Batch
from spt.data.splitting.halves import split_in_halves
from spt.training.history import History
from strategies.derivation import DERIVATIONS, DerivationOptions
from strategies.evaluator import EvaluatorModule
from strategies.hyper_network import gate_values
from strategies.one_shot import OneShot, OneShotModule
from strategies.options import GateOptions


class GateSearch(OneShot):
    """NNI strategy that learns the gates of a hyper-network on data of their own, and derives layers from it.

    Args:
        options: of the strategy.
        seed: of the split of the training data, and of what the search samples.
        flops_limit: operations that the search's training may take; it stops before the step that would pass
            them, and only its last dev score comes on top. None for any number.
        history: JSON lines of step, epoch and gates, written as the search goes; None for none.
        record_every: weight steps between two lines of the history, >= 1.
    """

    options: GateOptions

    def __init__(
        self,
        options: GateOptions,
        *,
        seed: int = 0,
        flops_limit: float | None = None,
        history: Path | None = None,
        record_every: int = 10,
    ) -> None:
        derivation_options = DerivationOptions(options.derivation_evaluations, seed, options.threshold)
        super().__init__(options, options.derivation, derivation_options, seed=seed, flops_limit=flops_limit)
        self.history = None if history is None else History(history)
        self.record_every = record_every

    def configure_oneshot_module(self, training_module: Any) -> GateSearchModule:
        """Put the search steps around the evaluator's recipe."""
        return GateSearchModule(training_module, self)

    def train_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Any) -> Any:
        """Split the training data in two halves if bi-level: for generators and head, and for the gates."""
        if not self.options.bilevel:
            return super().train_dataloader(train_dataloader_fn, val_dataloader_fn)
        weights, gates = split_in_halves(train_dataloader_fn(), self.seed)
        return {"train": weights, "val": gates}

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the derivations that fit the budget."""
        exactly = cast(PromptLayerSpace, self.supernet).budget.exactly
        return tuple(rule for rule in DERIVATIONS if rule != "threshold" or not exactly)

    @property
    def gates(self) -> dict[int, float]:
        """Return the learned gate of each candidate layer, in [0, 1]."""
        return gate_values(cast(PromptLayerSpace, self.supernet))


class GateSearchModule(OneShotModule):
    """One search step: the gates on their half of the data, then generators and head on theirs."""

    strategy: GateSearch

    def __init__(self, training_module: EvaluatorModule, strategy: GateSearch) -> None:
        super().__init__(training_module, strategy, warmup_epochs=strategy.options.warmup_epochs)

    def configure_architecture_optimizers(self) -> Optimizer:
        options = self.strategy.options
        return Adam(
            self.arch_parameters(),
            options.gate_learning_rate,
            betas=(0.5, 0.999),
            weight_decay=options.gate_weight_decay,
        )

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> Tensor:
        options = self.strategy.options
        if self.current_epoch >= self.warmup_epochs and batch_idx % options.gate_every == 0:
            self._gate_step(batch["val" if options.bilevel else "train"], batch_idx)
        loss = super().training_step(batch, batch_idx)
        history, due = self.strategy.history, batch_idx % self.strategy.record_every == 0
        if history and (due or self.trainer.is_last_batch):
            history.record(self.current_epoch, step=batch_idx, gates=gate_values(self.model))
        return loss

    def _gate_step(self, batch: Batch, batch_idx: int) -> None:
        optimizer = self.architecture_optimizers()
        self.toggle_optimizer(optimizer)
        optimizer.zero_grad()
        self.manual_backward(self.training_module.training_step(batch, batch_idx))
        optimizer.step()
        self.untoggle_optimizer(optimizer)

    def on_train_epoch_start(self) -> None:
        if self.strategy.history:
            self.strategy.history.begin_epoch(self.current_epoch)
        super().on_train_epoch_start()
