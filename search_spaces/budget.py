"""How many prompt layers, and which ones they may be: valid subsets made directly, never by rejection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

from numpy.random import RandomState

from spt.errors import InputError

Layers = tuple[int, ...]


@dataclass(frozen=True)
class Budget:
    """Subsets of exactly K (or of 1 to K) layers out of the candidates.

    Args:
        total: L, the layers of the backbone.
        k: K, from 1 to the number of candidates.
        exactly: False allows fewer than K layers, but at least one.
        candidates: layers that may get a prompt; all of them by default.

    Raises:
        InputError: if no subset satisfies the budget.
    """

    total: int
    k: int
    exactly: bool = True
    candidates: Layers | None = None

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
        return sum(comb(len(self.allowed), size) for size in self.sizes)

    def __str__(self) -> str:
        return f"{'exactly' if self.exactly else '1 to'} {self.k} of {list(self.allowed)}"

    def __iter__(self) -> Iterator[Layers]:
        """Yield every subset that satisfies the budget, small ones first, in lexicographic order."""
        for size in self.sizes:
            yield from combinations(self.allowed, size)

    def __contains__(self, layers: object) -> bool:
        return (
            isinstance(layers, tuple)
            and len(set(layers)) == len(layers)
            and len(layers) in self.sizes
            and set(layers) <= set(self.allowed)
        )

    def sample(self, random: RandomState) -> Layers:
        """Draw a subset, uniformly over all that satisfy the budget."""
        weights = [comb(len(self.allowed), size) / len(self) for size in self.sizes]
        size = random.choice(self.sizes, p=weights)
        return tuple(sorted(int(layer) for layer in random.choice(self.allowed, size, replace=False)))

    def neighbour(self, layers: Layers, random: RandomState) -> Layers:
        """Draw a subset one step away, uniformly: one chosen layer changed for one not chosen.

        Where fewer than K layers are allowed, one layer added or dropped is a step too. The one subset of a
        budget that allows no other has no neighbour and is returned itself.
        """
        others = [layer for layer in self.allowed if layer not in layers]
        steps = [{*layers, new} - {old} for old in layers for new in others]
        steps += [{*layers, new} for new in others if len(layers) + 1 in self.sizes]
        steps += [set(layers) - {old} for old in layers if len(layers) - 1 in self.sizes]
        return tuple(sorted(steps[random.randint(len(steps))])) if steps else layers

    def child(self, first: Layers, second: Layers, random: RandomState) -> Layers:
        """Draw a subset of the size of one parent, with the common layers and some of the others of both."""
        size = len((first, second)[random.randint(2)])
        common = sorted(set(first) & set(second))
        rest = sorted((set(first) | set(second)) - set(common))
        order = [rest[index] for index in random.permutation(len(rest))]
        return tuple(sorted([*common, *order[: size - len(common)]]))

    def top(self, scores: dict[int, float]) -> Layers:
        """Return the K candidates of the highest score; the lower layer wins a tie.

        Source: SPT's derivation (arXiv 2310.20127), "the layers with the highest gates".
        """
        ranked = sorted(self.allowed, key=lambda layer: (-scores[layer], layer))
        return tuple(sorted(ranked[: self.k]))
