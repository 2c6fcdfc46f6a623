"""How many layers, which ones, and what each may get: valid subsets made directly, never by rejection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from math import comb

from numpy.random import RandomState

from spt.architecture import Kinds, Layers, PromptLayers
from spt.errors import InputError
from spt.prompts.kinds import INSERT


@dataclass(frozen=True)
class Budget:
    """Subsets of exactly K (or of 1 to K) layers out of the candidates, each with one of some kinds.

    Args:
        total: L, the layers of the backbone.
        k: K, from 1 to the number of candidates.
        exactly: False allows fewer than K layers, but at least one.
        candidates: layers that may get something; all of them by default.
        kinds: what a chosen layer may get, by names of spt.prompts.kinds; by default what the section
            `prompt` says, and nothing else.

    Raises:
        InputError: if no subset satisfies the budget.
    """

    total: int
    k: int
    exactly: bool = True
    candidates: Layers | None = None
    kinds: Kinds = (INSERT,)

    def __post_init__(self) -> None:
        outside = [layer for layer in self.allowed if not 0 <= layer < self.total]
        if outside:
            raise InputError(
                f"Candidate layers {outside} do not exist: the backbone has layers 0 to {self.total - 1}."
            )
        if not 1 <= self.k <= len(self.allowed):
            raise InputError(
                f"The budget is {self.k} prompt layers, but must be from 1 to {len(self.allowed)}, "
                f"the number of candidate layers. Lower search.k or allow more candidates."
            )

    @property
    def allowed(self) -> Layers:
        """Return the candidate layers, sorted, each once."""
        return tuple(range(self.total)) if self.candidates is None else tuple(sorted(set(self.candidates)))

    @property
    def sizes(self) -> range:
        """Return the allowed numbers of prompt layers."""
        return range(self.k if self.exactly else 1, self.k + 1)

    def __len__(self) -> int:
        """Count the subsets that satisfy the budget."""
        return sum(self._count(size) for size in self.sizes)

    def _count(self, size: int) -> int:
        """Count the subsets of so many layers."""
        return comb(len(self.allowed), size) * int(len(self.kinds) ** size)

    def __str__(self) -> str:
        kinds = "" if self.kinds == (INSERT,) else f" with {' or '.join(self.kinds)}"
        return f"{'exactly' if self.exactly else '1 to'} {self.k} of {list(self.allowed)}{kinds}"

    def __iter__(self) -> Iterator[PromptLayers]:
        """Yield every subset that satisfies the budget, small ones first, in lexicographic order."""
        for size in self.sizes:
            for layers in combinations(self.allowed, size):
                for kinds in product(self.kinds, repeat=size):
                    yield PromptLayers.of(layers, self.total, kinds)

    def __contains__(self, subset: object) -> bool:
        return (
            isinstance(subset, PromptLayers)
            and subset.total == self.total
            and len(subset.layers) in self.sizes
            and set(subset.layers) <= set(self.allowed)
            and set(subset.by_layer.values()) <= set(self.kinds)
        )

    def sample(self, random: RandomState) -> PromptLayers:
        """Draw a subset, uniformly over all that satisfy the budget."""
        weights = [self._count(size) / len(self) for size in self.sizes]
        size = random.choice(self.sizes, p=weights)
        layers = sorted(int(layer) for layer in random.choice(self.allowed, size, replace=False))
        return PromptLayers.of(layers, self.total, (self._any_kind(random) for _ in layers))

    def _any_kind(self, random: RandomState) -> str:
        # no number is drawn where there is nothing to choose, so that its seeds give what they gave before
        return self.kinds[random.randint(len(self.kinds)) if len(self.kinds) > 1 else 0]

    def neighbour(self, subset: PromptLayers, random: RandomState) -> PromptLayers:
        """Draw a subset one step away, uniformly.

        A step changes one chosen layer for one not chosen, which gets the same kind, or a layer's kind for
        another. Where fewer than K layers are allowed, one layer added or dropped is a step too. The one
        subset of a budget that allows no other has no neighbour and is returned itself.
        """
        now = subset.by_layer
        others = [layer for layer in self.allowed if layer not in now]

        def without(old: int) -> dict[int, str]:
            return {layer: kind for layer, kind in now.items() if layer != old}

        steps = [{**without(old), new: kind} for old, kind in now.items() for new in others]
        if len(now) + 1 in self.sizes:
            steps += [{**now, new: kind} for new in others for kind in self.kinds]
        if len(now) - 1 in self.sizes:
            steps += [without(old) for old in now]
        steps += [{**now, layer: kind} for layer in now for kind in self.kinds if kind != now[layer]]
        return PromptLayers.of(steps[random.randint(len(steps))], self.total) if steps else subset

    def child(self, first: PromptLayers, second: PromptLayers, random: RandomState) -> PromptLayers:
        """Draw a subset of the size of one parent, with the common layers and some of the others of both.

        A layer keeps its parent's kind; where both have it with different ones, either's.
        """
        size = len((first, second)[random.randint(2)].layers)
        common = sorted(set(first.layers) & set(second.layers))
        rest = sorted((set(first.layers) | set(second.layers)) - set(common))
        order = [rest[index] for index in random.permutation(len(rest))]
        parents = first.by_layer, second.by_layer
        kinds = {}
        for layer in sorted([*common, *order[: size - len(common)]]):
            given = list(dict.fromkeys(parent[layer] for parent in parents if layer in parent))
            kinds[layer] = given[random.randint(2) if len(given) > 1 else 0]
        return PromptLayers.of(kinds, self.total)

    def top(self, scores: Mapping[int, float]) -> Layers:
        """Return the K candidates of the highest score; the lower layer wins a tie.

        Source: SPT's derivation (arXiv 2310.20127), "the layers with the highest gates".
        """
        ranked = sorted(self.allowed, key=lambda layer: (-scores[layer], layer))
        return tuple(sorted(ranked[: self.k]))
