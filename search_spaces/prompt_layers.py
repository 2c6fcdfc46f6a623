"""The search space: one NNI LayerChoice a layer, of propagate and each kind, under a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nni.mutable import Mutable, Sample
from nni.mutable.annotation import Constraint
from nni.mutable.exception import ConstraintViolation, SampleValidationError
from nni.mutable.mutable import LabeledMutable
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from numpy.random import RandomState

from search_spaces.budget import Budget
from spt.architecture import PromptLayers
from spt.build import ModelFactory
from spt.model import PromptedModel
from spt.prompts.choices import Propagate

PROPAGATE = "propagate"


def label(layer: int) -> str:
    """Return the name of a layer's choice in an NNI sample."""
    return f"layer_{layer}"


def to_sample(subset: PromptLayers, budget: Budget) -> Sample:
    """Return layers as an NNI sample over the candidates: {'layer_0': 'propagate', 'layer_1': 'insert'}.

    Where there are kinds, their names stand in the place of 'insert'.
    """
    kinds = subset.by_layer
    return {label(layer): kinds.get(layer, PROPAGATE) for layer in budget.allowed}


def to_layers(sample: Sample, budget: Budget) -> PromptLayers:
    """Return an NNI sample as layers."""
    choices = {layer: sample[label(layer)] for layer in budget.allowed}
    return PromptLayers.of({i: kind for i, kind in choices.items() if kind != PROPAGATE}, budget.total)


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
        names = (PROPAGATE, *self.budget.kinds)
        wrong = {name: choice for name, choice in given.items() if choice not in names}
        if wrong:
            allowed = " or ".join(f"'{name}'" for name in names)
            return SampleValidationError(f"each layer must be {allowed}, but got {wrong}")
        subset = to_layers(sample, self.budget)
        if subset not in self.budget:
            return ConstraintViolation(f"layers [{subset.text}] are not {self.budget}")
        return None

    def _write(self, subset: PromptLayers, memo: Sample | None) -> None:
        memo = {} if memo is None else memo
        memo.update({k: v for k, v in to_sample(subset, self.budget).items() if k not in memo})
        self.validate(memo)

    def default(self, memo: Sample | None = None) -> None:
        self._write(next(iter(self.budget)), memo)

    def random(self, memo: Sample | None = None, random_state: RandomState | None = None) -> None:
        self._write(self.budget.sample(random_state or RandomState()), memo)

    def grid(self, memo: Sample | None = None, granularity: int | None = None) -> Iterator[None]:
        memo = {} if memo is None else memo
        for subset in self.budget:
            memo.update(to_sample(subset, self.budget))
            yield None
        for layer in self.budget.allowed:
            memo.pop(label(layer), None)


class PromptLayerSpace(ModelSpace, PromptedModel):  # type: ignore[misc]
    """Every way of giving something to layers that a budget allows, over one shared frozen backbone.

    Args:
        factory: makes generators and heads over the shared backbone.
        budget: which subsets of layers are valid, and what a layer may get.

    `space.freeze(sample)` gives the discrete model with fresh generators; the backbone is the same object
    in all of them. In an NNI `model_context` the constructor gives that model too.
    """

    def __init__(self, factory: ModelFactory, budget: Budget) -> None:
        ModelSpace.__init__(self)
        inserts = {kind: factory.inserts(budget.allowed, kind) for kind in budget.kinds}
        choices = [
            LayerChoice(
                {PROPAGATE: Propagate(), **{kind: inserts[kind][i] for kind in budget.kinds}}, label=label(i)
            )
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
