"""A hyper-network trained with random subsets of layers, and searched without more training."""

from __future__ import annotations

from typing import Any, cast

from numpy.random import RandomState
from torch import Tensor

from search_spaces.prompt_layers import PromptLayerSpace
from spt.data.encoded.batches import Batch
from strategies.derivation import DerivationOptions
from strategies.hyper_network import fixed_gates, gates_for
from strategies.one_shot import OneShot, OneShotModule
from strategies.options import OneShotRandomOptions


class OneShotRandom(OneShot):
    """NNI strategy: each step trains the generators of one random subset, on all of the training data.

    No gates are learned. The subset that scores best on dev inside the hyper-network is chosen: the
    derivation 'pruned'.

    Args:
        options: of the strategy.
        seed: of the subsets.
        flops_limit: operations that the search's training may take; None for any number.

    Source: random search with weight sharing (arXiv 1902.07638) and single-path one-shot search (arXiv
    1904.00420).
    """

    def __init__(
        self, options: OneShotRandomOptions, *, seed: int = 0, flops_limit: float | None = None
    ) -> None:
        derivation_options = DerivationOptions(options.derivation_evaluations, seed)
        super().__init__(options, "pruned", derivation_options, seed=seed, flops_limit=flops_limit)

    def configure_oneshot_module(self, training_module: Any) -> OneShotRandomModule:
        """Put the search steps around the evaluator's recipe."""
        return OneShotRandomModule(training_module, self)


class OneShotRandomModule(OneShotModule):
    """A weight step of one subset."""

    def weight_loss(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the evaluator's loss with the prompts of a random subset alone."""
        model = cast(PromptLayerSpace, self.model)
        subset = model.budget.sample(RandomState(self.step_seed(batch_idx) % 2**32))
        with fixed_gates(model, gates_for(model, subset)):
            return super().weight_loss(batch, batch_idx)
