"""DARTS and Gumbel-DARTS: NNI's softmax over the two candidates of a layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from nni.nas.nn.pytorch import LayerChoice
from nni.nas.oneshot.pytorch.differentiable import LinearTemperatureScheduler
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedLayer, GumbelSoftmax
from torch import Tensor, nn

from search_spaces.prompt_layers import INSERT, PROPAGATE
from spt.prompts.state import PromptState
from strategies.gate_search import GateSearch, GateSearchModule
from strategies.hyper_network import is_layer_choice
from strategies.options import GumbelDartsOptions


class SoftmaxLayer(DifferentiableMixedLayer):  # type: ignore[misc]
    """NNI's mixed layer of {propagate, insert}, mixed as prompts are: the gate is softmax(alpha)[insert].

    A softmax that samples does so in training only. Both logits start at 0, a gate of one half.

    Args:
        choice: what it replaces.
        softmax: of the logits, in training.
    """

    def __init__(self, choice: LayerChoice, softmax: nn.Module) -> None:
        both = {PROPAGATE: choice[PROPAGATE], INSERT: choice[INSERT]}
        super().__init__(both, nn.Parameter(torch.zeros(2)), softmax, choice.label)
        self.fixed: float | None = None

    @property
    def gated(self) -> SoftmaxLayer:
        """Return itself: what the search and the derivation see of a layer."""
        return self

    def gate(self) -> Tensor:
        """Return softmax(alpha)[insert], shape [1]."""
        gate: Tensor = self._arch_alpha.softmax(-1)[1:]
        return gate

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        if self.fixed == 0:
            return prompt
        new: PromptState = self[INSERT](prompt, hidden, mask)
        if self.fixed == 1:
            return new
        gate = self._softmax(self._arch_alpha)[1:] if self.training else self.gate()
        return prompt.mixed(new, gate)

    @classmethod
    def replace(
        cls,
        module: nn.Module,
        name: str,
        memo: dict[str, Any],
        mutate_kwargs: dict[str, Any],
        softmax: Callable[[], nn.Module],
    ) -> SoftmaxLayer | None:
        """Replace a layer's choice: NNI's mutation hook, once it has the softmax."""
        return cls(module, softmax()) if is_layer_choice(module) else None


class Darts(GateSearch):
    """NNI strategy: first-order DARTS over {propagate, insert}, and the K layers with the most of insert.

    Source: DARTS (arXiv 1806.09055) as NNI has it; the mixture of prompts, and a choice of K layers together
    in place of the best candidate a layer, are ours.
    """

    def new_softmax(self) -> nn.Module:
        """Return what mixes the two candidates of a layer in training."""
        return nn.Softmax(-1)

    def default_mutation_hooks(self) -> list[Any]:
        """Put softmax gates in the place of the layers' choices."""
        return [partial(SoftmaxLayer.replace, softmax=self.new_softmax)]


class GumbelDarts(Darts):
    """DARTS whose mixture is sampled by a Gumbel softmax, with a temperature that falls over the epochs.

    Source: SNAS (arXiv 1812.09926) and GDAS (arXiv 1910.04465), with NNI's softmax and schedule.
    """

    options: GumbelDartsOptions

    def new_softmax(self) -> nn.Module:
        """Return what samples a mixture of the two candidates of a layer in training."""
        softmax: nn.Module = GumbelSoftmax()
        return softmax

    def configure_oneshot_module(self, training_module: Any) -> GumbelDartsModule:
        """Put the search steps around the evaluator's recipe."""
        return GumbelDartsModule(training_module, self)


class GumbelDartsModule(GateSearchModule):
    """Sets the epoch's temperature."""

    strategy: GumbelDarts

    def on_train_epoch_start(self) -> None:
        options = self.strategy.options
        schedule = LinearTemperatureScheduler(options.temperature, options.least_temperature)
        temperature = schedule.step(self.current_epoch, self.trainer.max_epochs)
        for module in self.modules():
            if isinstance(module, GumbelSoftmax):
                module.tau = temperature
        super().on_train_epoch_start()
