"""Hidden states below the prompts, kept in memory for texts that come again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor


class TrunkKey(NamedTuple):
    """Name hidden states by all they depend on.

    Attributes:
        tokens: digest of the token ids and their types.
        layer: that reads the states.
        fingerprint: of the backbone's weights.
        dtype: that the states were computed in.
        device: that they were computed on.
    """

    tokens: bytes
    layer: int
    fingerprint: str
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True)
class CacheStatistics:
    """Hold what a cache has done since it was made, and what it holds now.

    Attributes:
        hits: states that were asked for and there.
        misses: states that were asked for and not there.
        evictions: states that had to make room.
        entries: states that are there.
        bytes: that they take.
        limit: bytes that they may take.
    """

    hits: int
    misses: int
    evictions: int
    entries: int
    bytes: int
    limit: int


class TrunkCache:
    """Keep the hidden states [T, H] of inputs, without padding; those unused longest make room.

    Several threads may use it at once.

    Args:
        limit: bytes of all states together; 0 keeps none.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._states: OrderedDict[TrunkKey, Tensor] = OrderedDict()
        self._bytes = self._hits = self._misses = self._evictions = 0
        self._lock = Lock()

    def get(self, key: TrunkKey) -> Tensor | None:
        """Return the states of a key and count whether they were there."""
        with self._lock:
            states = self._used(key)
            if states is None:
                self._misses += 1
            else:
                self._hits += 1
            return states

    def peek(self, key: TrunkKey) -> Tensor | None:
        """Return the states of a key, which are not what was asked for and count as neither."""
        with self._lock:
            return self._used(key)

    def put(self, key: TrunkKey, states: Tensor) -> None:
        """Keep a copy of states, where they fit into the limit at all."""
        size = states.numel() * states.element_size()
        if size > self.limit:
            return
        # a view would hold its whole batch in memory
        copy = states.clone()
        with self._lock:
            self._forget(key)
            while self._bytes + size > self.limit:
                self._forget(next(iter(self._states)))
                self._evictions += 1
            self._states[key] = copy
            self._bytes += size

    def statistics(self) -> CacheStatistics:
        """Return the counts of now."""
        with self._lock:
            counts = self._hits, self._misses, self._evictions
            return CacheStatistics(*counts, len(self._states), self._bytes, self.limit)

    def _used(self, key: TrunkKey) -> Tensor | None:
        states = self._states.get(key)
        if states is not None:
            self._states.move_to_end(key)
        return states

    def _forget(self, key: TrunkKey) -> None:
        states = self._states.pop(key, None)
        if states is not None:
            self._bytes -= states.numel() * states.element_size()
