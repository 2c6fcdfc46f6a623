"""Strategies that score candidates one by one: at random, all of them, or the one that is named."""

from __future__ import annotations

from contextlib import suppress

from nni.nas.space import ExecutableModelSpace
from nni.nas.strategy import Random
from nni.nas.strategy.base import Strategy
from nni.nas.strategy.utils import DuplicationError
from numpy.random import RandomState

from search_spaces.named_layers import named_layers
from search_spaces.prompt_layers import to_sample
from search_spaces.subsets import budget_of
from spt.errors import InputError
from strategies.budgets import check_exhaustive
from strategies.options import ExhaustiveOptions, ManualOptions, RandomOptions

# numpy's random states, which NNI draws from, have no more
SEEDS = 2**32


class RandomSearch(Random):  # type: ignore[misc]
    """Subsets drawn uniformly, each once, until evaluations or subsets are over.

    Args:
        options: of the strategy.
        seed: of the draws.
    """

    def __init__(self, options: RandomOptions, *, seed: int = 0) -> None:
        super().__init__(seed=seed % SEEDS)
        self.options = options

    def _run(self) -> None:
        tried = len(self.state_dict()["dedup_history"])
        # NNI's own ends where 500 draws in a row gave what it had, though some of many may be left
        for _ in range(budget_of(self.model_space).num_subsets - tried):
            if not self.wait_for_resource():
                break
            self.engine.submit_models(self._untried())
        self.engine.wait_models()

    def _untried(self) -> ExecutableModelSpace:
        while True:
            with suppress(DuplicationError):
                return self.random(self.model_space)


class Exhaustive(Strategy):  # type: ignore[misc]
    """Every subset once, in shuffled order, so that what a budget in FLOPs leaves out is left to chance.

    Args:
        options: of the strategy; the space may have no more subsets than it has evaluations.
        seed: of the order.
    """

    def __init__(self, options: ExhaustiveOptions, *, seed: int = 0) -> None:
        super().__init__()
        self.options = options
        self.seed = seed

    def _run(self) -> None:
        budget = budget_of(self.model_space)
        check_exhaustive(budget, self.options)
        subsets = list(budget)
        for index in RandomState(self.seed % SEEDS).permutation(len(subsets)):
            if not self.wait_for_resource():
                break
            self.engine.submit_models(self.model_space.freeze(to_sample(subsets[index], budget)))
        self.engine.wait_models()


class Manual(Strategy):  # type: ignore[misc]
    """The one subset that the user names.

    Args:
        options: of the strategy.
        seed: makes no difference.
    """

    def __init__(self, options: ManualOptions, *, seed: int = 0) -> None:
        super().__init__()
        self.options = options

    def _run(self) -> None:
        budget = budget_of(self.model_space)
        subset = named_layers(self.options.manual_layers, budget.total)
        if subset not in budget:
            raise InputError(f"The layers [{subset.text}] are not {budget}.")
        if self.wait_for_resource():
            self.engine.submit_models(self.model_space.freeze(to_sample(subset, budget)))
        self.engine.wait_models()
