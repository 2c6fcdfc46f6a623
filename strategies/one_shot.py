"""What all one-shot strategies share: one hyper-network, trained once, from which layers are derived."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from time import monotonic
from typing import Any, cast

from nni.nas.oneshot.pytorch.differentiable import DartsLightningModule
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import Timer
from torch import Tensor, nn

from search_spaces.prompt_layers import PromptLayerSpace, to_sample
from spt.architecture import PromptLayers
from spt.data.encoded.batches import Batch
from spt.evaluation import evaluate
from spt.flops import FlopCounter
from spt.seeds import MANY, derived_seed
from spt.training.callbacks import CountFlops
from spt.training.fit import Loader
from spt.training.recipe import leave_backbone_out
from strategies.costs import choose
from strategies.derivation import DERIVATIONS, DerivationOptions, Derived
from strategies.evaluator import EvaluatorModule, Loaders
from strategies.hyper_network import GatedLayer, remaining_budget
from strategies.options import OneShotOptions


class OneShot(OneShotStrategy):  # type: ignore[misc]
    """NNI strategy that trains one hyper-network with a gate a choice, and derives layers from it.

    A subclass says in `default_mutation_hooks` what a gated layer is, and in `configure_oneshot_module` what
    a step of the search does.

    Args:
        options: of the strategy.
        derivation: how layers are read off the trained hyper-network, of DERIVATIONS.
        derivation_options: of the derivation.
        seed: of what the search samples.
        flops_limit: operations that the search's training may take; it stops before the step that would pass
            them, and only its last dev score comes on top. None for any number.
    """

    def __init__(
        self,
        options: OneShotOptions,
        derivation: str,
        derivation_options: DerivationOptions,
        *,
        seed: int = 0,
        flops_limit: float | None = None,
    ) -> None:
        super().__init__()
        self.options = options
        self.derivation = derivation
        self.derivation_options = derivation_options
        self.seed = seed
        self.flops_limit = flops_limit
        self._derivation_counter = FlopCounter()
        self._derivation_seconds = 0.0

    def default_mutation_hooks(self) -> list[Any]:
        """Put gates in the place of the layers' choices."""
        return [GatedLayer.mutate]

    def configure_oneshot_module(self, training_module: Any) -> OneShotModule:
        """Put the search steps around the evaluator's recipe."""
        return OneShotModule(training_module, self)

    def train_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Any) -> Any:
        """Train on all of the training data: no part of it is for gates."""
        return {"train": train_dataloader_fn()}

    @cached_property
    def derived(self) -> Derived:
        """Derive the layers, once the search has run."""
        start = monotonic()
        with self._derivation_counter:
            derived = self.derive(self.derivation)
        self._derivation_seconds = monotonic() - start
        return derived

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the derivations that fit the strategy and the budget."""
        return (self.derivation,)

    def derive(self, rule: str) -> Derived:
        """Derive layers from the trained hyper-network by a rule of DERIVATIONS."""
        module = cast(EvaluatorModule, self.oneshot_module.training_module)
        # Lightning leaves it on the CPU
        model = cast(PromptLayerSpace, self.supernet).to(self._trainer.strategy.root_device)
        loader: Loader = cast(Loaders, self._mutated_model_space.evaluator.datamodule).dev_loader

        def score() -> float:
            return evaluate(model, loader, module.task)["metric"]

        derived = DERIVATIONS[rule](model, remaining_budget(model), score, self.derivation_options)
        weight = self.options.cost_weight
        if not weight:
            return derived
        chosen = choose(derived.subsets, weight)
        return replace(derived, layers=chosen.layers, kinds=chosen.kinds)

    @property
    def gates(self) -> dict[int, float] | None:
        """Return the learned gate of each candidate layer, in [0, 1]; None where none is learned."""
        return None

    @property
    def seconds(self) -> float:
        """Return the time of the search's training, over all its sessions, and of the derivation."""
        return float(self._callback(Timer).time_elapsed()) + self._derivation_seconds

    @property
    def training_flops(self) -> int:
        """Return the operations of the search's training, over all its sessions, dev scores included."""
        return int(self._callback(CountFlops).total)

    @property
    def derivation_flops(self) -> int:
        """Return the operations of the derivation's dev scores."""
        return self._derivation_counter.total

    def _callback(self, kind: type[Any]) -> Any:
        (callback,) = (callback for callback in self._trainer.callbacks if isinstance(callback, kind))
        return callback

    @property
    def _trainer(self) -> Any:
        return cast(RawFormatModelSpace, self._mutated_model_space).evaluator.trainer

    def list_models(self, sort: bool = True, limit: int | None = 1) -> Iterator[RawFormatModelSpace]:
        """Yield the one model of the derived layers."""
        budget = cast(PromptLayerSpace, self.supernet).budget
        subset = PromptLayers.of(self.derived.layers, budget.total, self.derived.kinds)
        yield self.model_space.freeze(to_sample(subset, budget))


class OneShotModule(DartsLightningModule):  # type: ignore[misc]
    """One search step: generators and head on a batch of their data."""

    def __init__(self, training_module: EvaluatorModule, strategy: OneShot, warmup_epochs: int = 0) -> None:
        clip = training_module.config.gradient_clip
        super().__init__(training_module, gradient_clip_val=clip, warmup_epochs=warmup_epochs)
        self.strategy = strategy
        self.strict_loading = False
        self._spent = 0
        self._max_step_flops = 0

    def arch_parameters(self) -> list[nn.Parameter]:
        """Return the gates' logits, lowest layer first, so that a resumed optimiser finds its state."""
        return [logit for module in self.supernet_modules() for logit in module.arch_parameters()]

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> Tensor:
        loss = self._weight_step(batch["train"], batch_idx)
        self.advance_lr_schedulers(batch_idx)
        return loss

    def _weight_step(self, batch: Batch, batch_idx: int) -> Tensor:
        (optimizer,) = (o for o in self.optimizers() if not getattr(o, "is_arch_optimizer", False))
        self.toggle_optimizer(optimizer)
        loss = self.weight_loss(batch, batch_idx)
        self.training_module.check_finite(loss, batch_idx)
        self.advance_optimization(loss, batch_idx, self.gradient_clip_val)
        self.untoggle_optimizer(optimizer)
        return loss.detach()

    def weight_loss(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return what generators and head minimise on their data: the evaluator's loss."""
        loss: Tensor = self.training_module.training_step(batch, batch_idx)
        return loss

    def step_seed(self, batch_idx: int) -> int:
        """Return a seed from the strategy's and the step's number alone: resuming repeats what it samples."""
        return derived_seed(self.strategy.seed, derived_seed(int(self.current_epoch), batch_idx, MANY))

    def on_train_start(self) -> None:
        """Stop at once where the search had come to its limit before it was killed."""
        self._stop_at_limit()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self._spent = self.strategy.training_flops

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop where another step would pass the limit."""
        step = self.strategy.training_flops - self._spent
        self._max_step_flops = max(self._max_step_flops, step)
        self._stop_at_limit()

    def _stop_at_limit(self) -> None:
        limit = self.strategy.flops_limit
        # a step in which the gates move costs up to twice one of the warm-up
        if limit is not None and self.strategy.training_flops + 2 * self._max_step_flops > limit:
            self.trainer.should_stop = True

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.training_module.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Stop where the dev score that was just paid leaves too little for another step."""
        self.training_module.on_validation_epoch_end()
        self._stop_at_limit()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen backbone out of checkpoints."""
        leave_backbone_out(checkpoint, self.model, "training_module._model.")
        checkpoint["dearest_step"] = self._max_step_flops

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Know the costliest step so far, so that a search that had come to its limit stays there."""
        self._max_step_flops = checkpoint["dearest_step"]
