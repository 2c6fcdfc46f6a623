"""DARTS and Gumbel-DARTS: NNI's softmax over the choices of a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from nni.nas.nn.pytorch import LayerChoice
from nni.nas.oneshot.pytorch.differentiable import LinearTemperatureScheduler
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedLayer, GumbelSoftmax
from torch import Tensor, nn

from search_spaces.prompt_layers import PROPAGATE
from spt.prompts.choices import mixture
from spt.prompts.state import PromptState
from strategies.gate_search import GateSearch, GateSearchModule
from strategies.hyper_network import choices_of, is_layer_choice
from strategies.options import GumbelDartsOptions


class SoftmaxLayer(DifferentiableMixedLayer):  # type: ignore[misc]
    """NNI's mixed layer of propagate and kinds, mixed as prompts are: a kind's gate is its softmax(alpha).

    A softmax that samples does so in training only. All logits start at 0, the same share for each.

    Args:
        choice: what it replaces.
        softmax: of the logits, in training.
    """

    def __init__(self, choice: LayerChoice, softmax: nn.Module) -> None:
        kinds = choices_of(choice)
        paths = {PROPAGATE: choice[PROPAGATE], **kinds}
        super().__init__(paths, nn.Parameter(torch.zeros(len(paths))), softmax, choice.label)
        self.kinds = tuple(kinds)
        self.fixed: dict[str, float] = {}

    @property
    def gated(self) -> SoftmaxLayer:
        """Return itself: what the search and the derivation see of a layer."""
        return self

    def module_of(self, kind: str) -> nn.Module:
        """Return what a kind of prompt is made by."""
        made: nn.Module = self[kind]
        return made

    def gates(self) -> Tensor:
        """Return softmax(alpha) of each kind, shape [C]."""
        gates: Tensor = self._arch_alpha.softmax(-1)[1:]
        return gates

    def weights(self, kinds: Sequence[str]) -> Tensor:
        """Return the share of some kinds in the mixture, shape [C]; that of pruned ones is propagated."""
        shares = self._softmax(self._arch_alpha)[1:] if self.training else self.gates()
        return shares if len(kinds) == len(self.kinds) else shares[[self.kinds.index(kind) for kind in kinds]]

    def forward(self, prompt: PromptState, hidden: Tensor, mask: Tensor) -> PromptState:
        return mixture(self, prompt, hidden, mask)

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
    """NNI strategy: first-order DARTS over propagate and kinds, and the K layers with the most of a kind.

    Source: DARTS (arXiv 1806.09055) as NNI has it; the mixture of prompts, and a choice of K layers together
    in place of the best candidate a layer, are ours.
    """

    def new_softmax(self) -> nn.Module:
        """Return what mixes the choices of a layer in training."""
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
        """Return what samples a mixture of the choices of a layer in training."""
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
