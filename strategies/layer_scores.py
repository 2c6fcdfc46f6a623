"""Layers by a score of each, which takes no training: strategies of their own, and candidates for others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import isfinite
from statistics import fmean
from time import monotonic
from typing import NamedTuple, cast

from nni.nas.space import RawFormatModelSpace
from nni.nas.strategy.base import Strategy

from search_spaces.prompt_layers import PromptLayerSpace, to_sample
from spt.architecture import Layers, PromptLayers
from spt.build import ModelFactory
from spt.errors import TrialFailed
from spt.flops import FlopCounter
from spt.tasks import Task
from spt.training.config import TrainingConfig
from spt.training.fit import Loader
from strategies.budgets import least_distance
from strategies.costs import ScoredSubset, scored_subsets
from strategies.evaluator import EvaluatorModule, Loaders
from strategies.gradient import gradient_scores
from strategies.options import ScoringOptions
from strategies.probe import probe_scores

Scorer = Callable[[ModelFactory, Layers, Loader, Task, TrainingConfig], Mapping[int, float]]
# by the names of strategies, and of SpaceOptions.candidates_by
SCORERS: dict[str, Scorer] = {"probe": probe_scores, "gradient": gradient_scores}


class LayerScores(NamedTuple):
    """Hold the score of each layer, higher for a better one, and what the scores took."""

    scores: dict[int, float]
    flops: int
    seconds: float


def score_layers(
    name: str, factory: ModelFactory, layers: Layers, train: Loader, task: Task, config: TrainingConfig
) -> LayerScores:
    """Score layers one by one, without training.

    Args:
        name: of SCORERS.
        factory: makes generators and heads over the backbone, which is on the device to compute on.
        layers: that are scored, lowest first.
        train: batches of the training data.
        task: with its classes.
        config: of the training that is to follow.

    Raises:
        TrialFailed: if the loss or a score is not finite.
    """
    begun = monotonic()
    with FlopCounter() as counter:
        scores = dict(SCORERS[name](factory, layers, train, task, config))
    if broken := {layer: score for layer, score in scores.items() if not isfinite(score)}:
        raise TrialFailed(f"The scores by {name} are not all finite numbers: {broken}.")
    return LayerScores(scores, counter.total, monotonic() - begun)


class ScoredLayers(Strategy):  # type: ignore[misc]
    """NNI strategy that scores each candidate layer once and takes the K best.

    It reads the training data of the space's evaluator and trains nothing.

    Args:
        options: of the strategy, whose name is the scorer's, and how far apart layers are chosen.
        seed: makes no difference: that of data and weights does.
    """

    def __init__(self, options: ScoringOptions, *, seed: int = 0) -> None:
        super().__init__()
        self.options = options
        self.seed = seed
        self.result = LayerScores({}, 0, 0.0)

    def _run(self) -> None:
        evaluator = self.model_space.evaluator
        module, loaders = cast(EvaluatorModule, evaluator.module), cast(Loaders, evaluator.datamodule)
        self.result = score_layers(
            self.options.strategy,
            self._space.factory,
            self._space.budget.allowed,
            loaders.train_loader,
            module.task,
            module.config,
        )

    @property
    def layers(self) -> Layers:
        """Return the K layers of the highest scores that are far enough apart, once it has run."""
        return self._space.budget.top(self.result.scores, self._distance)

    @property
    def subsets(self) -> tuple[ScoredSubset, ...]:
        """Return the layers that it finds, and those that it would find from each layer on, for less.

        Their score is the mean of the layers'. Layers without the best one, that are better on average than
        those it finds, are left out.
        """
        budget, scores, distance = self._space.budget, self.result.scores, self._distance
        above = (budget.allowed[number:] for number in range(len(budget.allowed) - budget.k + 1))
        uppers = (replace(budget, candidates=layers) for layers in above)
        found = [upper.top(scores, distance) for upper in uppers if len(upper.apart(distance)) >= budget.k]
        means = {PromptLayers.of(each, budget.total): fmean(scores[i] for i in each) for each in found}
        most = fmean(scores[layer] for layer in self.layers)
        return scored_subsets({each: mean for each, mean in means.items() if mean <= most}, budget)

    @property
    def _distance(self) -> int:
        return least_distance(self._space.budget, self.options)

    @property
    def _space(self) -> PromptLayerSpace:
        return cast(PromptLayerSpace, cast(RawFormatModelSpace, self.model_space).model_space)

    def list_models(self, sort: bool = True, limit: int | None = 1) -> Iterator[object]:
        """Yield the one model of the layers that were found."""
        subset = PromptLayers.of(self.layers, self._space.budget.total)
        yield self._space.freeze(to_sample(subset, self._space.budget))
