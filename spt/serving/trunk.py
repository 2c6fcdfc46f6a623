"""The trunk: frozen layers below the prompts, run once a text for all tasks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from spt.backbones.base import Backbone
from spt.layer_loop import run_layers
from spt.prompts.choices import Propagate
from spt.serving.trunk_cache import TrunkCache, TrunkKey
from spt.start import Start

# what a batch says of each token
TOKEN_FIELDS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class TrunkStates:
    """Hold the hidden states of a batch by the layer that reads them, [B, T, H]; zeros where a row has none.

    Attributes:
        batch: whose rows these are, with at least input_ids and attention_mask [B, T].
        lengths: tokens of each row, [B].
        at: the states by layer.
    """

    batch: Mapping[str, Tensor]
    lengths: Sequence[int]
    at: dict[int, Tensor] = field(default_factory=dict)

    def write(self, layer: int, rows: Sequence[int], states: Tensor) -> None:
        """Put the states [N, T' <= T, H] of some rows."""
        shape = *self.batch["attention_mask"].shape, states.shape[-1]
        if states.shape == shape:
            # all rows in their order, which need no copy
            self.at[layer] = states
            return
        if layer not in self.at:
            self.at[layer] = states.new_zeros(shape)
        self.at[layer][list(rows), : states.shape[1]] = states

    def longest(self, rows: Sequence[int]) -> int:
        """Return how many tokens the longest of some rows has."""
        return max(self.lengths[row] for row in rows)

    def fields(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return what the batch says of the tokens of some rows, [N, T'], without needless padding."""
        width = self.longest(rows)
        return {name: self.batch[name][list(rows), :width] for name in TOKEN_FIELDS if name in self.batch}


class _Span(NamedTuple):
    """Say from which layer to which a row has to be run."""

    row: int
    start: int
    stop: int


class Trunk:
    """Compute hidden states below the prompts, from what the cache knows of them.

    Args:
        backbone: whose layers run.
        cache: keeps states for texts that come again.

    Source: sharing the layers below the first difference of tasks is AdapterDrop's (arXiv 2010.11918, section
    4); for prompts that begin at any layers, and from kept states, ours.
    """

    def __init__(self, backbone: Backbone, cache: TrunkCache) -> None:
        self.backbone = backbone
        self.cache = cache
        self._propagate = [Propagate()] * backbone.num_layers

    def run(
        self,
        states: TrunkStates,
        keys: Sequence[bytes],
        wanted: Sequence[Collection[int]],
        kept: Collection[int],
    ) -> None:
        """Give a batch of distinct inputs the states that its branches begin with.

        Args:
            states: of the batch, none yet.
            keys: of the inputs, by which the cache knows them, [B].
            wanted: the layers at which branches of each row begin, at least one a row, [B].
            kept: further layers whose states are worth keeping where the trunk passes them.
        """
        recalled = [self._recall(states, keys[row], row, layers, kept) for row, layers in enumerate(wanted)]
        spans = [span for span in recalled if span is not None]
        self._embed(states, [span.row for span in spans if span.start == 0])
        keeping = {*kept, *(layer for layers in wanted for layer in layers)} if self.cache.limit else set()
        layers = {layer for span in spans for layer in (span.start, span.stop)}
        layers |= {layer for layers in wanted for layer in layers} | keeping
        for layer, stop in pairwise(sorted(layers)):
            rows = [span.row for span in spans if span.start <= layer and stop <= span.stop]
            if rows:
                self._advance(states, rows, layer, stop)
                if stop in keeping:
                    self._keep(states, keys, rows, stop)

    def _recall(
        self, states: TrunkStates, key: bytes, row: int, layers: Collection[int], kept: Collection[int]
    ) -> _Span | None:
        """Write what the cache has of a row, and say which layers remain to be run, if any."""
        missing = [layer for layer in layers if not self._recalled(states, key, row, layer)]
        if not missing:
            return None
        lowest, highest = min(missing), max(missing)
        for layer in sorted({*layers, *kept}, reverse=True):
            if self.cache.limit and 0 < layer < lowest:
                known = self.cache.peek(self._key(key, layer))
                if known is not None:
                    states.write(layer, [row], known[None])
                    return _Span(row, layer, highest)
        return _Span(row, 0, highest)

    def _recalled(self, states: TrunkStates, key: bytes, row: int, layer: int) -> bool:
        """Write a row's states at a layer where the cache has them, and say whether it has."""
        # embedding is cheaper than keeping
        if not self.cache.limit or layer == 0:
            return False
        known = self.cache.get(self._key(key, layer))
        if known is None:
            return False
        states.write(layer, [row], known[None])
        return True

    def _embed(self, states: TrunkStates, rows: Sequence[int]) -> None:
        if rows:
            states.write(0, rows, self.backbone.embed(states.fields(rows)))

    def _advance(self, states: TrunkStates, rows: Sequence[int], layer: int, stop: int) -> None:
        """Run some rows from one layer to another."""
        mask = states.fields(rows)["attention_mask"]
        start = Start(layer, states.at[layer][list(rows), : mask.shape[1]])
        padded = len({states.lengths[row] for row in rows}) > 1
        _, hidden = run_layers(self.backbone, self._propagate, start, mask, padded=padded, stop=stop)
        states.write(stop, rows, hidden)

    def _keep(self, states: TrunkStates, keys: Sequence[bytes], rows: Sequence[int], layer: int) -> None:
        for row in rows:
            self.cache.put(self._key(keys[row], layer), states.at[layer][row, : states.lengths[row]])

    def _key(self, tokens: bytes, layer: int) -> TrunkKey:
        backbone = self.backbone
        return TrunkKey(tokens, layer, backbone.fingerprint, backbone.dtype, backbone.device)
