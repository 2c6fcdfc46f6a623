"""How many layers, which ones, and what each may get: valid subsets made directly, never by rejection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from math import comb

from numpy.random import RandomState

from search_spaces.kind_costs import KindCosts
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
        parameters: that a layer gets with each of the kinds; none where they do not count.
        most_parameters: that all layers together may get; None for any number.
        lengths: P of each of the kinds, 0 for one without a prompt; none where they do not count.
        tokens: mean of a text, where lengths count.
        adds: whether a prompt joins the one from below, so that both are as long as the longer one.

    Raises:
        InputError: if no subset satisfies the budget.
    """

    total: int
    k: int
    exactly: bool = True
    candidates: Layers | None = None
    kinds: Kinds = (INSERT,)
    parameters: tuple[int, ...] = ()
    most_parameters: int | None = None
    lengths: tuple[int, ...] = ()
    tokens: float = 0.0
    adds: bool = False

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
        if not self.sizes:
            needed = (self.k if self.exactly else 1) * min(self.parameters)
            raise InputError(
                f"search.most_parameters is {self.most_parameters:,}, but what a search with k={self.k} may "
                f"choose has at least {needed:,}. Raise it, lower search.k or prompt.bottleneck, or allow "
                "smaller kinds."
            )

    @property
    def allowed(self) -> Layers:
        """Return the candidate layers, sorted, each once."""
        return tuple(range(self.total)) if self.candidates is None else tuple(sorted(set(self.candidates)))

    @property
    def sizes(self) -> range:
        """Return the allowed numbers of prompt layers."""
        most = self.k
        if self.most_parameters is not None:
            most = min(most, self.most_parameters // max(1, min(self.parameters)))
        return range(self.k if self.exactly else 1, most + 1)

    @cached_property
    def costs(self) -> KindCosts | None:
        """Return what the kinds cost, and how much they may; None where they may cost anything."""
        if self.most_parameters is None:
            return None
        return KindCosts(dict(zip(self.kinds, self.parameters, strict=True)), self.most_parameters)

    @property
    def num_subsets(self) -> int:
        """Count the subsets that satisfy the budget; `len` holds no number as large as some."""
        return sum(self._count(size) for size in self.sizes)

    def _count(self, size: int) -> int:
        """Count the subsets of so many layers."""
        costs = self.costs
        of_kinds = int(len(self.kinds) ** size) if costs is None else costs.count(size)
        return comb(len(self.allowed), size) * of_kinds

    def __str__(self) -> str:
        kinds = "" if self.kinds == (INSERT,) else f" with {' or '.join(self.kinds)}"
        limit = "" if self.most_parameters is None else f", within {self.most_parameters:,} parameters"
        return f"{'exactly' if self.exactly else '1 to'} {self.k} of {list(self.allowed)}{kinds}{limit}"

    def __iter__(self) -> Iterator[PromptLayers]:
        """Yield every subset that satisfies the budget, small ones first, in lexicographic order."""
        for size in self.sizes:
            for layers in combinations(self.allowed, size):
                for kinds in self._sequences(size):
                    yield PromptLayers.of(layers, self.total, kinds)

    def _sequences(self, size: int) -> Iterator[Kinds]:
        """Yield every way of giving kinds to so many layers."""
        costs = self.costs
        yield from product(self.kinds, repeat=size) if costs is None else costs.sequences(size)

    def _fits(self, kinds: Iterable[str]) -> bool:
        return self.costs is None or self.costs.fits(kinds)

    def __contains__(self, subset: object) -> bool:
        return (
            isinstance(subset, PromptLayers)
            and subset.total == self.total
            and len(subset.layers) in self.sizes
            and set(subset.layers) <= set(self.allowed)
            and set(subset.by_layer.values()) <= set(self.kinds)
            and self._fits(subset.by_layer.values())
        )

    def sample(self, random: RandomState) -> PromptLayers:
        """Draw a subset, uniformly over all that satisfy the budget."""
        weights = [self._count(size) / self.num_subsets for size in self.sizes]
        size = random.choice(self.sizes, p=weights)
        layers = sorted(int(layer) for layer in random.choice(self.allowed, size, replace=False))
        return PromptLayers.of(layers, self.total, self._any_kinds(size, random))

    def _any_kinds(self, size: int, random: RandomState) -> Kinds:
        """Draw what so many layers get, uniformly."""
        if self.costs is not None:
            return self.costs.sample(size, random)
        return tuple(self._any_kind(random) for _ in range(size))

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
        steps = [step for step in steps if self._fits(step.values())]
        return PromptLayers.of(steps[random.randint(len(steps))], self.total) if steps else subset

    def child(self, first: PromptLayers, second: PromptLayers, random: RandomState) -> PromptLayers:
        """Draw a subset of the size of one parent, with the common layers and some of the others of both.

        A layer keeps its parent's kind; where both have it with different ones, either's. Where that has too
        many parameters, such layers get the smaller one, the highest ones first, and where it still has, the
        child is the parent whose size it has.
        """
        parent = (first, second)[random.randint(2)]
        size = len(parent.layers)
        common = sorted(set(first.layers) & set(second.layers))
        rest = sorted((set(first.layers) | set(second.layers)) - set(common))
        order = [rest[index] for index in random.permutation(len(rest))]
        given = {
            layer: list(
                dict.fromkeys(each.by_layer[layer] for each in (first, second) if layer in each.by_layer)
            )
            for layer in sorted([*common, *order[: size - len(common)]])
        }
        kinds = {layer: of[random.randint(2) if len(of) > 1 else 0] for layer, of in given.items()}
        costs = self.costs
        for layer in sorted(kinds, reverse=True):
            if costs is not None and not costs.fits(kinds.values()):
                kinds[layer] = min(given[layer], key=costs.parameters.__getitem__)
        return PromptLayers.of(kinds, self.total) if self._fits(kinds.values()) else parent

    def top(self, scores: Mapping[int, float], distance: int = 1) -> Layers:
        """Return the K candidates of the highest score, whatever they get; the lower layer wins a tie.

        Args:
            scores: of each layer.
            distance: least difference between two chosen layers, such that there are K so far apart. The best
                layer is taken, then the best of those far enough from it, and so on; one that would leave no
                room for the others is passed over.

        Source: SPT's derivation (arXiv 2310.20127), "the layers with the highest gates". The distance is
        ours, after the non-maximum suppression of object detection.
        """
        chosen: Layers = ()
        for layer in sorted(self.allowed, key=lambda layer: (-scores[layer], layer)):
            if len(chosen) < self.k <= len(self.apart(distance, (*chosen, layer))):
                chosen += (layer,)
        return tuple(sorted(chosen))

    def apart(self, distance: int, chosen: Layers = ()) -> Layers:
        """Return the most candidates that are at least `distance` from each other, the `chosen` among them.

        Nothing is returned where these are closer to each other already.
        """
        if any(abs(one - other) < distance for one, other in combinations(chosen, 2)):
            return ()
        kept = list(chosen)
        for layer in self.allowed:
            if all(abs(layer - other) >= distance for other in kept):
                kept.append(layer)
        return tuple(sorted(kept))

    def best(self, scores: Mapping[tuple[int, str], float], first: int | None = None) -> PromptLayers | None:
        """Return the largest allowed subset of the highest sum of scores within the budget.

        Args:
            scores: of each layer with each kind; what is not scored is not chosen.
            first: the lowest layer that is chosen; None for any.

        Returns:
            The subset, of two equal ones that of lower layers; None where there is none.

        Source: ours, as a knapsack of at most one item a layer.
        """
        # number of layers and their parameters -> the best that has both
        states: dict[tuple[int, int], tuple[float, dict[int, str]]] = {(0, 0): (0.0, {})}
        parameters = dict(zip(self.kinds, self.parameters or (0,) * len(self.kinds), strict=True))
        for layer in self.allowed if first is None else [i for i in self.allowed if i >= first]:
            grown = {} if layer == first else dict(states)
            for (size, spent), (value, chosen) in states.items():
                for kind in self.kinds if size < self.sizes[-1] else ():
                    key = (size + 1, spent + parameters[kind])
                    if (layer, kind) not in scores or not self._within(key[1]):
                        continue
                    better = value + scores[layer, kind]
                    if key not in grown or better > grown[key][0]:
                        grown[key] = (better, {**chosen, layer: kind})
            states = grown
        largest = max((size for size, _ in states), default=0)
        if largest not in self.sizes:
            return None
        ends = [state for (size, _), state in states.items() if size == largest]
        _, chosen = min(ends, key=lambda end: (-end[0], tuple(end[1])))
        return PromptLayers.of(chosen, self.total)

    def _within(self, parameters: int) -> bool:
        return self.most_parameters is None or parameters <= self.most_parameters
