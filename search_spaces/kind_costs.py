"""What several layers may get together within a number of parameters, without drawing what does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from numpy.random import RandomState

from spt.architecture import Kinds


@dataclass(frozen=True)
class KindCosts:
    """Sequences of kinds, one a layer, whose parameters together are at most a number.

    Args:
        parameters: of a layer that gets a kind.
        most: that a sequence may have.
    """

    parameters: Mapping[str, int]
    most: int

    def fits(self, kinds: Iterable[str]) -> bool:
        """Say whether a sequence has few enough parameters."""
        return self._left(kinds) >= 0

    def _left(self, kinds: Iterable[str]) -> int:
        return self.most - sum(self.parameters[kind] for kind in kinds)

    def count(self, length: int, begun: Kinds = ()) -> int:
        """Count the sequences of a length, or the ways to end one that has begun."""
        return self._ways(length - len(begun), self._left(begun))

    def _ways(self, places: int, left: int) -> int:
        """Count the sequences of so many places that have at most `left` parameters."""
        if left < 0 or not places:
            return int(left >= 0)
        if (places, left) not in self._known:
            ways = (self._ways(places - 1, left - spent) for spent in self.parameters.values())
            self._known[places, left] = sum(ways)
        return self._known[places, left]

    @cached_property
    def _known(self) -> dict[tuple[int, int], int]:
        """Hold what `_ways` has counted: enumerations ask for the same many times."""
        return {}

    def sequences(self, length: int, begun: Kinds = ()) -> Iterator[Kinds]:
        """Yield every sequence of a length, in the order of the kinds."""
        if len(begun) == length:
            yield begun
            return
        for kind in self.parameters:
            if self.count(length, (*begun, kind)):
                yield from self.sequences(length, (*begun, kind))

    def sample(self, length: int, random: RandomState) -> Kinds:
        """Draw a sequence of a length, uniformly over all."""
        kinds: Kinds = ()
        while len(kinds) < length:
            numbers = [self.count(length, (*kinds, kind)) for kind in self.parameters]
            chosen = random.choice(len(numbers), p=[number / sum(numbers) for number in numbers])
            kinds = (*kinds, list(self.parameters)[chosen])
        return kinds
