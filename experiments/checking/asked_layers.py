"""The layers whose prompts a check asks for in the place of all that a run may try."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.config import RunConfig
from search_spaces.named_layers import named_layers
from spt.architecture import PromptLayers
from strategies.budgets import budget_before_scores
from strategies.options import ManualOptions, SpaceOptions


def asked_layers(config: RunConfig, total: int) -> Sequence[PromptLayers]:
    """Return the layers that are named, or those of a search: one layer of each kind.

    Args:
        config: of the run.
        total: L.

    Raises:
        InputError: for layers that there are not, or a budget that no layers satisfy.
    """
    options = config.search
    if isinstance(options, ManualOptions):
        return [named_layers(options.manual_layers, total)]
    assert isinstance(options, SpaceOptions)
    budget = budget_before_scores(total, options)
    return [PromptLayers.of({budget.allowed[0]: kind}, total) for kind in budget.kinds]
