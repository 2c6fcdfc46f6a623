"""The learning rate of each parameter: vectors, what generates from them, and the head train at their own."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from spt.model import PromptedModel, trained
from spt.prompts.generators import PromptSource
from spt.training.config import TrainingConfig


def parameter_groups(model: PromptedModel, config: TrainingConfig) -> list[dict[str, Any]]:
    """Group what trains by its learning rate, in the form that torch's optimisers take.

    Args:
        model: discrete, or a hyper-network of a search.
        config: names the rates.

    Returns:
        Groups of parameters in the model's order, with their rate; one group where all rates are the same.

    Source: ours. Vectors are few and far from zero and need large steps, projections many and small ones.
    """
    rates: dict[nn.Parameter, float] = {}
    for module in model.modules():
        if isinstance(module, PromptSource):
            rates |= dict.fromkeys(module.parameters(), config.generator_rate or config.learning_rate)
    for module in model.modules():
        if isinstance(module, PromptSource) and module.free_vectors is not None:
            rates[module.free_vectors] = config.prompt_rate or config.learning_rate
    groups: dict[float, list[nn.Parameter]] = {}
    for _, parameter in trained(model):
        if parameter.requires_grad:
            groups.setdefault(rates.get(parameter, config.learning_rate), []).append(parameter)
    return [{"params": parameters, "lr": rate} for rate, parameters in groups.items()]


def rise_and_fall(optimizer: Optimizer, steps: int, warmup: float) -> LambdaLR:
    """Let all rates rise linearly for a share of the steps, and fall to zero linearly after."""
    rising = warmup * steps

    def rate(step: int) -> float:
        return min((step + 1) / (rising + 1), (steps - step) / max(1.0, steps - rising), 1.0)

    return LambdaLR(optimizer, rate)
