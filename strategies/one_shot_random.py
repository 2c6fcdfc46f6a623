"""A hyper-network trained with random subsets of layers, and searched without more training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from numpy.random import RandomState
from torch import Tensor

from search_spaces.prompt_layers import PromptLayerSpace
from spt.data.batches import Batch
from strategies.hyper_network import fixed_gates, only
from strategies.one_shot import OneShot, OneShotModule


class OneShotRandom(OneShot):
    """NNI strategy: each step trains the generators of one random subset, on all of the training data.

    No gates are learned. The subset that scores best on dev inside the hyper-network is the one found: the
    derivation 'pruned'.

    Args:
        derivation_evaluations: most subsets that are scored on the hyper-network, >= 1.
        flops_limit: operations that the search's training may take; None for any number.
        seed: of the subsets.

    Source: random search with weight sharing (arXiv 1902.07638) and single-path one-shot search (arXiv
    1904.00420).
    """

    def __init__(
        self, *, derivation_evaluations: int = 200, flops_limit: float | None = None, seed: int = 0
    ) -> None:
        super().__init__(
            derivation="pruned",
            derivation_evaluations=derivation_evaluations,
            flops_limit=flops_limit,
            seed=seed,
        )

    def train_dataloader(self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Any) -> Any:
        """All of the training data: no half of it is kept for gates."""
        return {"train": train_dataloader_fn()}

    def configure_oneshot_module(self, training_module: Any) -> OneShotRandomModule:
        """The search steps around the evaluator's recipe."""
        return OneShotRandomModule(training_module, self)

    @property
    def rules(self) -> tuple[str, ...]:
        """Its own alone: the others read gates."""
        return (self.derivation,)

    @property
    def gates(self) -> None:
        """None are learned."""
        return


class OneShotRandomModule(OneShotModule):
    """A weight step of one subset."""

    def gates_move(self, batch_idx: int) -> bool:
        """Never."""
        return False

    def weight_loss(self, batch: Batch, batch_idx: int) -> Tensor:
        """The evaluator's loss with the prompts of a random subset alone."""
        model = cast(PromptLayerSpace, self.model)
        layers = model.budget.sample(RandomState(self.step_seed(batch_idx) % 2**32))
        with fixed_gates(model, only(model, layers)):
            return super().weight_loss(batch, batch_idx)
