"""SPT-DARTS: sigmoid gates, first-order bi-level training, and a consistency term."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from search_spaces.prompt_layers import PromptLayerSpace
from spt.data.encoded.batches import Batch
from spt.model import PromptedModel
from strategies.consistency import DISTANCES, SET_DISTANCES, consistent_loss, pruned_slots
from strategies.costs import Slot
from strategies.derivation import best_subset
from strategies.evaluator import EvaluatorModule
from strategies.gate_search import GateSearch, GateSearchModule
from strategies.hyper_network import (
    drop,
    dropped_layers,
    gate_values,
    gated_layers,
    kind_gates,
    remaining_budget,
    slots,
)
from strategies.options import SptDartsOptions


class SptDarts(GateSearch):
    """NNI strategy that learns one gate a choice, in a network that agrees with itself when some are pruned.

    Before each epoch but the first in which gates move, candidates of the lowest gates are dropped. As the
    first candidate rises, the layers below it need no gradient.

    Source: SPT (arXiv 2310.20127); what its public text leaves open is ours: the first-order alternation,
    the distance, the masks, warm-up, shrinking, early stopping and the derivations other than top-K.
    """

    options: SptDartsOptions

    def configure_oneshot_module(self, training_module: Any) -> SptDartsModule:
        """Put the search steps around the evaluator's recipe."""
        return SptDartsModule(training_module, self)


class SptDartsModule(GateSearchModule):
    """The weight step learns consistency too; between epochs, candidates are dropped or the search ends."""

    strategy: SptDarts

    def __init__(self, training_module: EvaluatorModule, strategy: SptDarts) -> None:
        super().__init__(training_module, strategy)
        self._best: list[list[Any]] = []
        self._unchanged = 0

    def weight_loss(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the evaluator's loss, and the distance to a pass with some gates pruned."""
        options, module = self.strategy.options, self.training_module
        distances = SET_DISTANCES if module.task.multi_label else DISTANCES
        return consistent_loss(
            cast(PromptedModel, self.model),
            batch,
            module.loss,
            options.consistency,
            distances[options.distance],
            self._mask(batch_idx),
        )

    def _mask(self, batch_idx: int) -> dict[Slot, float]:
        """Draw the gates that this step prunes."""
        generator = torch.Generator().manual_seed(self.step_seed(batch_idx))
        return pruned_slots(slots(self.model), self.strategy.options.mask_probability, generator)

    @property
    def _space(self) -> PromptLayerSpace:
        return cast(PromptLayerSpace, self.model)

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch > self.warmup_epochs:
            gates = {layer: max(gated.gates().tolist()) for layer, gated in gated_layers(self._space).items()}
            spare = max(0, len(gates) - 2 * self._space.budget.k)
            lowest_first = sorted(gates, key=lambda layer: gates[layer])
            options = self.strategy.options
            # a cheap layer of a low gate may be the one to choose
            shrink = 0 if options.cost_weight else options.shrink
            drop(self._space, lowest_first[: min(shrink, spare)])

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        if self.current_epoch >= self.warmup_epochs:
            gates, of_layers = kind_gates(self._space), gate_values(self._space)
            top = best_subset(gates, of_layers, remaining_budget(self._space))
            best = [[layer, kind] for layer, kind in top.by_layer.items()]
            self._unchanged = self._unchanged + 1 if best == self._best else 0
            self._best = best
            self._stop_when_settled()

    def on_train_start(self) -> None:
        super().on_train_start()
        self._stop_when_settled()

    def _stop_when_settled(self) -> None:
        if 0 < self.strategy.options.patience <= self._unchanged:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["settling"] = {
            "dropped": dropped_layers(self._space),
            "best": self._best,
            "unchanged": self._unchanged,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        settling = checkpoint["settling"]
        drop(self._space, settling["dropped"])
        self._best, self._unchanged = settling["best"], settling["unchanged"]
