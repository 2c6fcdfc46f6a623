"""Regularised evolution over subsets of layers."""

from __future__ import annotations

from nni.nas.execution import ExecutionEngine
from nni.nas.space import ExecutableModelSpace
from nni.nas.strategy import RegularizedEvolution
from nni.nas.strategy.evolution import Individual
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

    Results count in the order in which their candidates were chosen, not in which they end: what is chosen
    depends on options, seed and results alone, and is the same with any number of workers and after a kill.
    Each candidate after the first population waits for all results but those of the `concurrent` - 1 before
    it.

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

    def _initialize(self, model_space: ExecutableModelSpace, engine: ExecutionEngine) -> ExecutableModelSpace:
        """Register nothing: NNI's own evolution learns of results as they come."""
        return model_space

    def _cleanup(self) -> None:
        """Unregister nothing."""

    def new_individual(self) -> ExecutableModelSpace:
        """Mutate the best of a tournament into a subset that was not tried yet."""
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
        while True:
            if self._is_populated:
                self._take_results(self.options.concurrent - 1)
            if not self.wait_for_resource():
                break
            # of those chosen at random some may have failed, or all may still be open
            breeds = self._is_populated and len(self._population) > 0
            model = self._retry_helper.retry(self.new_individual if breeds else self.random)
            if model is None:
                break
            self._running_models.append(model)
            self.engine.submit_models(model)
        self._take_results(0)

    @property
    def _is_populated(self) -> bool:
        """Say whether the population is full, if all that train succeed."""
        return bool(len(self._population) + len(self._running_models) >= self.population_size)

    def _take_results(self, still_open: int) -> None:
        """Let the oldest candidates into the population as they end, until so many or fewer are open."""
        while len(self._running_models) > still_open:
            model = self._running_models.pop(0)
            self.engine.wait_models(model)
            if model.metric is not None:
                self._population.append(Individual(model.sample, model.metric))
                if len(self._population) > self.population_size:
                    self._population.popleft()
