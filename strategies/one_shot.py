"""What all one-shot strategies share: one hyper-network, trained once, from which layers are derived."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from nni.nas.oneshot.pytorch.differentiable import DartsLightningModule
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import Timer
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from search_spaces.prompt_layers import PromptLayerSpace, to_sample
from spt.data.batches import Batch
from spt.data.halves import halves
from spt.errors import InputError, unknown
from spt.evaluation import evaluate
from spt.flops import FlopCounter
from spt.training.callbacks import CountFlops
from spt.training.fit import Loader
from spt.training.history import History
from spt.training.recipe import leave_backbone_out
from strategies.derivation import DERIVATIONS, Derived, Limits
from strategies.evaluator import EvaluatorModule, Loaders
from strategies.hyper_network import GatedLayer, gate_values, remaining


class OneShot(OneShotStrategy):  # type: ignore[misc]
    """NNI strategy that trains one hyper-network with a gate a layer, and derives layers from it.

    A subclass says in `default_mutation_hooks` what a gated layer is, and in `configure_oneshot_module` what
    a step of the search does.

    Args:
        gate_learning_rate: Adam's rate for the gates' logits, > 0.
        gate_weight_decay: Adam's decay of the logits towards a gate of one half, >= 0.
        warmup_epochs: epochs before the gates move, >= 0.
        gate_every: weight steps for one gate step, >= 1.
        bilevel: False moves the gates on the very batches of the weights; the gates' half is left out then.
        derivation: how layers are read off the trained hyper-network, of DERIVATIONS.
        threshold: least gate of a layer, in (0, 1), of the derivation 'threshold'.
        derivation_evaluations: most subsets that the derivation 'pruned' scores, >= 1.
        flops_limit: operations that the search's training may take; it stops before the step that would pass
            them. None for any number.
        seed: of the split of the training data, and of what the search samples.
        history: JSON lines of step, epoch and gates, written as the search goes; None for none.
        record_every: weight steps between two lines of the history, >= 1.

    Raises:
        InputError: for an unknown derivation, or a number out of its range.
    """

    def __init__(
        self,
        *,
        gate_learning_rate: float = 0.05,
        gate_weight_decay: float = 1e-3,
        warmup_epochs: int = 1,
        gate_every: int = 2,
        bilevel: bool = True,
        derivation: str = "ablation",
        threshold: float = 0.5,
        derivation_evaluations: int = 200,
        flops_limit: float | None = None,
        seed: int = 0,
        history: Path | None = None,
        record_every: int = 10,
    ) -> None:
        super().__init__()
        if derivation not in DERIVATIONS:
            raise unknown("derivation", derivation, DERIVATIONS)
        require("gate_learning_rate", gate_learning_rate, gate_learning_rate > 0, "> 0")
        require("gate_weight_decay", gate_weight_decay, gate_weight_decay >= 0, ">= 0")
        require("warmup_epochs", warmup_epochs, warmup_epochs >= 0, ">= 0")
        require("gate_every", gate_every, gate_every >= 1, ">= 1")
        require("threshold", threshold, 0 < threshold < 1, "in (0, 1)")
        require("derivation_evaluations", derivation_evaluations, derivation_evaluations >= 1, ">= 1")
        require("record_every", record_every, record_every >= 1, ">= 1")
        self.gate_learning_rate = gate_learning_rate
        self.gate_weight_decay = gate_weight_decay
        self.warmup_epochs = warmup_epochs
        self.gate_every = gate_every
        self.bilevel = bilevel
        self.derivation = derivation
        self.limits = Limits(threshold, derivation_evaluations, seed)
        self.flops_limit = flops_limit
        self.seed = seed
        self.history = None if history is None else History(history)
        self.record_every = record_every
        self._derivation_counter = FlopCounter()

    def default_mutation_hooks(self) -> list[Any]:
        """Gates in the place of the layers' choices."""
        return [GatedLayer.mutate]

    def configure_oneshot_module(self, training_module: Any) -> OneShotModule:
        """The search steps around the evaluator's recipe."""
        return OneShotModule(training_module, self)

    def train_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Any) -> Any:
        """The training data in two halves: one for generators and head, one for the gates."""
        weights, gates = halves(train_dataloader_fn(), self.seed)
        return {"train": weights, "val": gates}

    @cached_property
    def derived(self) -> Derived:
        """The layers found, once the search has run."""
        with self._derivation_counter:
            return self.derive(self.derivation)

    @property
    def rules(self) -> tuple[str, ...]:
        """The derivations that fit the strategy and the budget."""
        exactly = cast(PromptLayerSpace, self.supernet).budget.exactly
        return tuple(rule for rule in DERIVATIONS if rule != "threshold" or not exactly)

    def derive(self, rule: str) -> Derived:
        """What a rule of DERIVATIONS finds in the trained hyper-network."""
        module = cast(EvaluatorModule, self.oneshot_module.training_module)
        # Lightning leaves it on the CPU
        model = cast(PromptLayerSpace, self.supernet).to(self._trainer.strategy.root_device)
        loader: Loader = cast(Loaders, self._mutated_model_space.evaluator.datamodule).dev_loader

        def score() -> float:
            return evaluate(model, loader, module.task)["metric"]

        return DERIVATIONS[rule](model, remaining(model), score, self.limits)

    @property
    def gates(self) -> dict[int, float] | None:
        """The learned gate of each candidate layer, in [0, 1]; None where none is learned."""
        return gate_values(cast(PromptLayerSpace, self.supernet))

    @property
    def seconds(self) -> float:
        """Training time of the search, over all its sessions."""
        return float(self._callback(Timer).time_elapsed())

    @property
    def training_flops(self) -> int:
        """Operations of the search's training, over all its sessions, its dev scores included."""
        return int(self._callback(CountFlops).total)

    @property
    def derivation_flops(self) -> int:
        """Operations of the derivation's dev scores."""
        return self._derivation_counter.total

    def _callback(self, kind: type[Any]) -> Any:
        (found,) = (callback for callback in self._trainer.callbacks if isinstance(callback, kind))
        return found

    @property
    def _trainer(self) -> Any:
        return cast(RawFormatModelSpace, self._mutated_model_space).evaluator.trainer

    def list_models(self, sort: bool = True, limit: int | None = 1) -> Iterator[RawFormatModelSpace]:
        """The one model of the derived layers."""
        budget = cast(PromptLayerSpace, self.supernet).budget
        yield self.model_space.freeze(to_sample(self.derived.layers, budget))


def require(name: str, value: float, holds: bool, rule: str) -> None:
    """Refuse a number out of its range.

    Raises:
        InputError: where the rule does not hold.
    """
    if not holds:
        raise InputError(f"The value of {name} is {value}, but must be {rule}.")


class OneShotModule(DartsLightningModule):  # type: ignore[misc]
    """One search step: the gates on their half of the data, then generators and head on theirs."""

    def __init__(self, training_module: EvaluatorModule, strategy: OneShot) -> None:
        super().__init__(
            training_module,
            arc_learning_rate=strategy.gate_learning_rate,
            gradient_clip_val=training_module.config.gradient_clip,
            warmup_epochs=strategy.warmup_epochs,
        )
        self.strategy = strategy
        self.strict_loading = False
        self._spent = 0
        self._dearest = 0

    def arch_parameters(self) -> list[nn.Parameter]:
        """The gates' logits, lowest layer first, so that a resumed optimiser finds its state."""
        return [logit for module in self.supernet_modules() for logit in module.arch_parameters()]

    def configure_architecture_optimizers(self) -> Optimizer:
        return Adam(
            self.arch_parameters(),
            self.strategy.gate_learning_rate,
            betas=(0.5, 0.999),
            weight_decay=self.strategy.gate_weight_decay,
        )

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> None:
        if self.gates_move(batch_idx):
            self._gate_step(batch["val" if self.strategy.bilevel else "train"], batch_idx)
        self._weight_step(batch["train"], batch_idx)
        self.advance_lr_schedulers(batch_idx)
        history, due = self.strategy.history, batch_idx % self.strategy.record_every == 0
        if history and (due or self.trainer.is_last_batch):
            history.record(self.current_epoch, step=batch_idx, gates=gate_values(self.model))

    def gates_move(self, batch_idx: int) -> bool:
        """Whether this step is one for the gates too."""
        return bool(self.current_epoch >= self.warmup_epochs) and batch_idx % self.strategy.gate_every == 0

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
        loss = self.weight_loss(batch, batch_idx)
        self.training_module.check_finite(loss, batch_idx)
        self.advance_optimization(loss, batch_idx, self.gradient_clip_val)
        self.untoggle_optimizer(optimizer)

    def weight_loss(self, batch: Batch, batch_idx: int) -> Tensor:
        """What generators and head minimise on their half of the data: the evaluator's loss."""
        loss: Tensor = self.training_module.training_step(batch, batch_idx)
        return loss

    def step_seed(self, batch_idx: int) -> int:
        """A seed from the strategy's and the step's number alone: resuming repeats what it samples."""
        return self.strategy.seed * 10_007 + int(self.current_epoch) * 1_000_003 + batch_idx

    def on_train_start(self) -> None:
        """A search that had come to its limit before it was killed is not trained further."""
        self._spent = self.strategy.training_flops
        self._stop_at_limit()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self._spent = self.strategy.training_flops

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop where another step would pass the limit."""
        spent = self.strategy.training_flops
        self._dearest = max(self._dearest, spent - self._spent)
        self._spent = spent
        self._stop_at_limit()

    def _stop_at_limit(self) -> None:
        limit = self.strategy.flops_limit
        # a step in which the gates move costs up to twice one of the warm-up
        if limit is not None and self._spent + 2 * self._dearest > limit:
            self.trainer.should_stop = True

    def on_train_epoch_start(self) -> None:
        if self.strategy.history:
            self.strategy.history.begin_epoch(self.current_epoch)
        super().on_train_epoch_start()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.training_module.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self.training_module.on_validation_epoch_end()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen backbone out of checkpoints."""
        leave_backbone_out(checkpoint, self.model, "training_module._model.")
        checkpoint["dearest_step"] = self._dearest

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A search that had come to its limit knows it."""
        self._dearest = checkpoint["dearest_step"]
