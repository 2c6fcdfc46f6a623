"""The search space: one NNI LayerChoice {propagate, insert} a layer, under a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from nni.mutable import Mutable, Sample
from nni.mutable.annotation import Constraint
from nni.mutable.exception import ConstraintViolation, SampleValidationError
from nni.mutable.mutable import LabeledMutable
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from numpy.random import RandomState

from search_spaces.budget import Budget, Layers
from spt.architecture import PromptLayers
from spt.build import ModelFactory
from spt.model import PromptedModel
from spt.prompts.choices import Propagate

INSERT = "insert"
PROPAGATE = "propagate"


def label(layer: int) -> str:
    """Return the name of a layer's choice in an NNI sample."""
    return f"layer_{layer}"


def to_sample(layers: Iterable[int], budget: Budget) -> Sample:
    """Return layers as an NNI sample over the candidates: {'layer_0': 'propagate', 'layer_1': 'insert'}."""
    chosen = set(layers)
    return {label(layer): INSERT if layer in chosen else PROPAGATE for layer in budget.allowed}


def to_layers(sample: Sample, budget: Budget) -> PromptLayers:
    """Return an NNI sample as layers."""
    return PromptLayers.of((i for i in budget.allowed if sample[label(i)] == INSERT), budget.total)


class LayerBudget(Constraint):  # type: ignore[misc]
    """The budget as an NNI constraint that writes valid subsets itself.

    NNI asks a space's mutables in order; this one comes first, fills in every layer's choice, and the
    choices keep what they find. So nothing is ever sampled and thrown away.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.label = "layer_budget"

    def leaf_mutables(self, is_leaf: Callable[[Mutable], bool]) -> Iterator[LabeledMutable]:
        yield self

    def check_contains(self, sample: Sample) -> SampleValidationError | None:
        given = {label(i): sample.get(label(i)) for i in self.budget.allowed}
        wrong = {name: choice for name, choice in given.items() if choice not in (PROPAGATE, INSERT)}
        if wrong:
            return SampleValidationError(f"each layer must be '{PROPAGATE}' or '{INSERT}', but got {wrong}")
        layers = to_layers(sample, self.budget).layers
        if layers not in self.budget:
            return ConstraintViolation(f"layers {list(layers)} are not {self.budget}")
        return None

    def _write(self, layers: Layers, memo: Sample | None) -> None:
        memo = {} if memo is None else memo
        memo.update({k: v for k, v in to_sample(layers, self.budget).items() if k not in memo})
        self.validate(memo)

    def default(self, memo: Sample | None = None) -> None:
        self._write(next(iter(self.budget)), memo)

    def random(self, memo: Sample | None = None, random_state: RandomState | None = None) -> None:
        self._write(self.budget.sample(random_state or RandomState()), memo)

    def grid(self, memo: Sample | None = None, granularity: int | None = None) -> Iterator[None]:
        memo = {} if memo is None else memo
        for layers in self.budget:
            memo.update(to_sample(layers, self.budget))
            yield None
        for layer in self.budget.allowed:
            memo.pop(label(layer), None)


class PromptLayerSpace(ModelSpace, PromptedModel):  # type: ignore[misc]
    """Every way of giving prompts to layers that a budget allows, over one shared frozen backbone.

    Args:
        factory: makes generators and heads over the shared backbone.
        budget: which subsets of layers are valid.

    `space.freeze(sample)` gives the discrete model with fresh generators; the backbone is the same object
    in all of them. In an NNI `model_context` the constructor gives that model too.
    """

    def __init__(self, factory: ModelFactory, budget: Budget) -> None:
        ModelSpace.__init__(self)
        inserts = factory.inserts(budget.allowed)
        choices = [
            LayerChoice({PROPAGATE: Propagate(), INSERT: inserts[i]}, label=label(i))
            if i in budget.allowed
            else Propagate()
            for i in range(budget.total)
        ]
        PromptedModel.__init__(self, factory.backbone, choices, factory.head())
        self.factory = factory
        self.layer_budget: LayerBudget = LayerBudget(budget)

    @property
    def budget(self) -> Budget:
        """Say which subsets of layers are valid."""
        return self.layer_budget.budget

    def leaf_mutables(self, is_leaf: Callable[[Mutable], bool]) -> Iterator[LabeledMutable]:
        """Yield the budget first, so that it fills in the choices; the backbone holds none."""
        yield self.layer_budget
        for choice in self.choices:
            if isinstance(choice, Mutable):
                yield from choice.leaf_mutables(is_leaf)

    def check_contains(self, sample: Sample) -> SampleValidationError | None:
        return self.layer_budget.check_contains(sample)

    def freeze(self, sample: Sample) -> PromptedModel:
        """Make the discrete model of a sample, freshly initialised.

        Raises:
            SampleValidationError: if the sample does not satisfy the budget.
        """
        error = self.check_contains(sample)
        if error is not None:
            raise error
        return self.factory.model(to_layers(sample, self.budget))
