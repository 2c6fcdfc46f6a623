"""Strategies that score candidates one by one: at random, all of them, or the one that is named."""

from __future__ import annotations

from collections.abc import Iterable

from nni.nas.strategy import Random
from nni.nas.strategy.base import Strategy
from numpy.random import RandomState

from search_spaces.budget import Budget
from search_spaces.named_layers import named_layers
from search_spaces.prompt_layers import to_sample
from search_spaces.subsets import budget_of
from spt.errors import InputError


class RandomSearch(Random):  # type: ignore[misc]
    """Subsets drawn uniformly, each once.

    Args:
        seed: of the draws.
    """

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)

    def _run(self) -> None:
        super()._run()
        self.engine.wait_models()


class Exhaustive(Strategy):  # type: ignore[misc]
    """Every subset once, in shuffled order, so that what a budget in FLOPs leaves out is left to chance.

    Args:
        evaluations: most subsets that the space may have, >= 1.
        seed: of the order.
    """

    def __init__(self, *, evaluations: int, seed: int) -> None:
        super().__init__()
        self.evaluations = evaluations
        self.seed = seed

    def _run(self) -> None:
        budget = budget_of(self.model_space)
        check_exhaustive(budget, self.evaluations)
        subsets = list(budget)
        for index in RandomState(self.seed).permutation(len(subsets)):
            if not self.wait_for_resource():
                break
            self.engine.submit_models(self.model_space.freeze(to_sample(subsets[index], budget)))
        self.engine.wait_models()


def check_exhaustive(budget: Budget, evaluations: int) -> None:
    """Refuse a space that is too large to be tried whole.

    Raises:
        InputError: if it has more subsets than `evaluations`.
    """
    if len(budget) > evaluations:
        raise InputError(
            f"The strategy 'exhaustive' would train {len(budget)} subsets of layers, but search.evaluations "
            f"allows {evaluations}. Raise it, use fewer search.candidates, or another search.strategy."
        )


class Manual(Strategy):  # type: ignore[misc]
    """The one subset that the user names.

    Args:
        manual_layers: numbers or a name, as `named_layers` takes them.
    """

    def __init__(self, *, manual_layers: Iterable[int] | str) -> None:
        super().__init__()
        self.manual_layers = manual_layers

    def _run(self) -> None:
        budget = budget_of(self.model_space)
        layers = named_layers(self.manual_layers, budget.total).layers
        if layers not in budget:
            raise InputError(f"The layers {list(layers)} are not {budget}.")
        if self.wait_for_resource():
            self.engine.submit_models(self.model_space.freeze(to_sample(layers, budget)))
        self.engine.wait_models()
