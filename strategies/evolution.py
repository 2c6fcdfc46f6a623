"""Regularised evolution over subsets of layers."""

from __future__ import annotations

from nni.nas.space import ExecutableModelSpace
from nni.nas.strategy import RegularizedEvolution
from nni.nas.strategy.utils import DuplicationError

from search_spaces.prompt_layers import to_layers, to_sample
from search_spaces.subsets import budget_of
from spt.architecture import PromptLayers
from strategies.multi_trial import SEEDS
from strategies.options import EvolutionOptions

LONGEST_WALK = 1000


class Evolution(RegularizedEvolution):  # type: ignore[misc]
    """A mutation changes one chosen layer for one not chosen; the oldest of the population dies.

    Where there are several kinds, a mutation may change a layer's kind, and where fewer than K layers are
    allowed, add or drop one. A subset that was tried before is mutated again, until it is new.

    Args:
        options: of the strategy; the first of the population are drawn uniformly.
        seed: of every draw.

    Source: regularised evolution (arXiv 1802.01548); the mutation and the crossover are ours.
    """

    def __init__(self, options: EvolutionOptions, *, seed: int = 0) -> None:
        super().__init__(
            population_size=options.population,
            sample_size=options.tournament,
            crossover=options.crossover,
            seed=seed % SEEDS,
        )
        self.options = options

    def new_individual(self) -> ExecutableModelSpace:
        """Mutate the best of a tournament into a subset that was not tried yet."""
        if not self._population:
            # the first ones still run elsewhere, or have failed
            return self.random()
        budget = budget_of(self.model_space)
        subset = self._parent()
        if self.crossover:
            subset = budget.child(subset, self._parent(), self._random_state)
        for _ in range(LONGEST_WALK):
            subset = budget.neighbour(subset, self._random_state)
            sample = to_sample(subset, budget)
            try:
                self._dedup_helper.dedup(sample)
            except DuplicationError:
                continue
            self._individual_counter += 1
            return self.model_space.freeze(sample)
        raise DuplicationError(sample)

    def _parent(self) -> PromptLayers:
        return to_layers(self.best_parent(), budget_of(self.model_space))

    def _run(self) -> None:
        super()._run()
        self.engine.wait_models()
