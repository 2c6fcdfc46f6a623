"""What several layers may get together within a number of parameters, without drawing what does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

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

    @property
    def smallest(self) -> str:
        """Return the kind of the fewest parameters, the first of several."""
        return min(self.parameters, key=self.parameters.__getitem__)

    def fits(self, kinds: Iterable[str]) -> bool:
        """Say whether a sequence has few enough parameters."""
        return self._left(kinds) >= 0

    def _left(self, kinds: Iterable[str]) -> int:
        return self.most - sum(self.parameters[kind] for kind in kinds)

    def count(self, length: int, begun: Kinds = ()) -> int:
        """Count the sequences of a length, or the ways to end one that has begun."""
        # how many ways lead to each number of parameters that is still left: few, as kinds are
        ways = {self._left(begun): 1}
        for _ in range(length - len(begun)):
            longer: dict[int, int] = {}
            for left, number in ways.items():
                for spent in self.parameters.values():
                    longer[left - spent] = longer.get(left - spent, 0) + number
            ways = longer
        return sum(number for left, number in ways.items() if left >= 0)

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
