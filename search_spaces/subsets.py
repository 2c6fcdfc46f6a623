"""The subsets of layers alone, without a model: light to search, and to send to another process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, cast

from nni.mutable import Categorical, MutableDict, Sample
from nni.mutable.exception import SampleValidationError
from nni.mutable.mutable import LabeledMutable, Mutable
from nni.nas.evaluator import Evaluator
from nni.nas.space import ExecutableModelSpace, ModelStatus

from search_spaces.budget import Budget
from search_spaces.prompt_layers import PROPAGATE, LayerBudget, label, to_layers
from spt.architecture import PromptLayers


class LayerSubsets(ExecutableModelSpace):  # type: ignore[misc]
    """Every subset that a budget allows; frozen, one of them, which its evaluator scores.

    It has the samples of a PromptLayerSpace, and makes the layers where that makes the model. `nni.dump` and
    `nni.load` carry it to another process, if its evaluator can be carried.

    Args:
        budget: which subsets of layers are valid.
        evaluator: scores PromptLayers.
    """

    def __init__(self, budget: Budget, evaluator: Evaluator | None) -> None:
        super().__init__()
        self.budget = budget
        self.evaluator = evaluator
        self.sample: Sample | None = None
        names = [PROPAGATE, *budget.kinds]
        choices = {label(i): Categorical(names, label=label(i)) for i in budget.allowed}
        # the budget comes first and fills in the choices
        self.mutables = MutableDict({"layer_budget": LayerBudget(budget), **choices})

    def leaf_mutables(self, is_leaf: Callable[[Mutable], bool]) -> Iterator[LabeledMutable]:
        yield from self.mutables.leaf_mutables(is_leaf)

    def check_contains(self, sample: Sample) -> SampleValidationError | None:
        return self.mutables.check_contains(sample)

    def freeze(self, sample: Sample) -> LayerSubsets:
        """Return one subset, with the same evaluator.

        Raises:
            SampleValidationError: if the sample does not satisfy the budget.
        """
        self.validate(sample)
        frozen = type(self)(self.budget, self.evaluator)
        frozen.status = ModelStatus.Frozen
        frozen.sample = dict(sample)
        return frozen

    def executable_model(self) -> PromptLayers:
        """Return the layers of a frozen subset."""
        assert self.sample is not None
        return to_layers(self.sample, self.budget)

    def _dump(self) -> dict[str, Any]:
        budget = self.budget
        return {
            "budget": asdict(budget),
            "evaluator": self.evaluator,
            "status": self.status,
            "sample": self.sample,
            "metrics": self.metrics,
        }

    @classmethod
    def _load(cls, **state: Any) -> LayerSubsets:
        # JSON has lists for tuples
        fields: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in state["budget"].items()
        }
        loaded = cls(Budget(**fields), state["evaluator"])
        loaded.status = ModelStatus(state["status"])
        loaded.sample = state["sample"]
        loaded.metrics = state["metrics"]
        return loaded


def budget_of(space: ExecutableModelSpace) -> Budget:
    """Return the budget of any space of prompt layers."""
    return cast(LayerBudget, space.simplify()["layer_budget"]).budget


def layers_of(model: ExecutableModelSpace) -> PromptLayers:
    """Return the layers of a frozen model of any space of prompt layers."""
    return to_layers(model.sample, budget_of(model))
