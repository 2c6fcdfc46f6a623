"""States are kept by what they depend on, up to a limit, and those unused longest go first."""

from __future__ import annotations

import pytest
import torch

from spt.backbones.base import Backbone
from spt.serving.trunk import Trunk, TrunkStates
from spt.serving.trunk_cache import TrunkCache, TrunkKey
from tests.support.families import batch, tiny_backbone

# of the states below
SIZE = 3 * 4 * 4


def key(tokens: bytes, layer: int = 1) -> TrunkKey:
    return TrunkKey(tokens, layer, "weights", torch.float32, torch.device("cpu"))


def states(value: float = 0.0) -> torch.Tensor:
    return torch.full((3, 4), value, dtype=torch.float32)


def test_states_come_back_by_all_that_names_them() -> None:
    cache = TrunkCache(10 * SIZE)
    cache.put(key(b"a"), states(1))
    cache.put(key(b"a", layer=2), states(2))
    assert torch.equal(cache.get(key(b"a")), states(1))
    assert torch.equal(cache.get(key(b"a", layer=2)), states(2))
    others = [
        key(b"b"),
        key(b"a")._replace(fingerprint="others"),
        key(b"a")._replace(dtype=torch.bfloat16),
        key(b"a")._replace(device=torch.device("cuda")),
    ]
    assert [cache.get(other) for other in others] == [None] * 4
    counts = cache.statistics()
    assert (counts.hits, counts.misses, counts.entries, counts.bytes) == (2, 4, 2, 2 * SIZE)


def test_those_unused_longest_make_room() -> None:
    cache = TrunkCache(2 * SIZE)
    cache.put(key(b"a"), states())
    cache.put(key(b"b"), states())
    cache.peek(key(b"a"))
    cache.put(key(b"c"), states())
    assert [cache.peek(key(name)) is not None for name in (b"a", b"b", b"c")] == [True, False, True]
    counts = cache.statistics()
    assert (counts.evictions, counts.bytes, counts.limit) == (1, 2 * SIZE, 2 * SIZE)
    assert (counts.hits, counts.misses) == (0, 0)


def test_the_same_states_take_their_room_once() -> None:
    cache = TrunkCache(2 * SIZE)
    for value in range(3):
        cache.put(key(b"a"), states(value))
    assert torch.equal(cache.peek(key(b"a")), states(2))
    assert cache.statistics().bytes == SIZE and cache.statistics().evictions == 0


@pytest.mark.parametrize("limit", [0, SIZE - 1])
def test_what_does_not_fit_is_not_kept(limit: int) -> None:
    cache = TrunkCache(limit)
    cache.put(key(b"a"), states())
    assert cache.peek(key(b"a")) is None and cache.statistics().bytes == 0


def test_what_is_kept_is_no_view_of_a_batch() -> None:
    cache, rows = TrunkCache(10 * SIZE), torch.zeros(2, 3, 4)
    cache.put(key(b"a"), rows[0])
    rows.fill_(7)
    assert torch.equal(cache.get(key(b"a")), states())


def run_trunk(backbone: Backbone, cache: TrunkCache, wanted: list[set[int]]) -> TrunkStates:
    inputs = batch("bert", [6, 4])
    result = TrunkStates(inputs, [6, 4])
    with torch.inference_mode():
        Trunk(backbone, cache).run(result, [b"long", b"short"], wanted, kept={1, 2})
    return result


def test_states_of_another_type_are_computed_again() -> None:
    backbone, cache = tiny_backbone("bert"), TrunkCache(2**20)
    run_trunk(backbone, cache, [{2}, {2}])
    backbone.to(torch.bfloat16)
    assert run_trunk(backbone, cache, [{2}, {2}]).at[2].dtype == torch.bfloat16
    assert cache.statistics().hits == 0


@pytest.mark.parametrize("first", [[{1}, {2}], [{0}, {3}], [{3}, {1}], [{2}, {2}]], ids=str)
@pytest.mark.parametrize("then", [[{1, 3}, {3}], [{2}, {0, 1, 2}], [{1}, {3}]], ids=str)
def test_what_is_known_changes_no_state(first: list[set[int]], then: list[set[int]]) -> None:
    backbone, cache = tiny_backbone("bert"), TrunkCache(2**20)
    run_trunk(backbone, cache, first)
    known, alone = run_trunk(backbone, cache, then), run_trunk(backbone, TrunkCache(0), then)
    for row, layers in enumerate(then):
        for layer in layers:
            real = known.lengths[row]
            torch.testing.assert_close(
                known.at[layer][row, :real], alone.at[layer][row, :real], atol=1e-5, rtol=0
            )
