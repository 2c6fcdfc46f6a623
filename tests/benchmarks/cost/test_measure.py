"""Counters against hand counts."""

import pytest
import torch
from torch import nn

from benchmarks.cost.measure import in_own_process, interleaved_seconds, matmul_rate, peak_bytes, saved_bytes


def test_saved_bytes_count_a_storage_once_and_no_parameter() -> None:
    layer, x = nn.Linear(8, 4), torch.randn(3, 8)
    assert saved_bytes(lambda: layer(x), list(layer.parameters())) == x.numel() * 4
    assert saved_bytes(lambda: (layer(x), layer(x)), list(layer.parameters())) == x.numel() * 4
    with torch.no_grad():
        assert saved_bytes(lambda: layer(x), []) == 0


def test_seconds_are_taken_in_turn() -> None:
    order: list[str] = []
    found = interleaved_seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert found.keys() == {"a", "b"}


def held(megabytes: int) -> int:
    """The peak of a process that fills so much memory and gives it back."""
    kept = torch.ones(megabytes * 2**18)
    del kept
    return peak_bytes()


@pytest.mark.slow
def test_the_peak_of_a_process_of_its_own_holds_what_was_given_back() -> None:
    small, large = in_own_process(held, 10), in_own_process(held, 410)
    assert large - small == pytest.approx(400 * 2**20, rel=0.2)


def test_the_rate_of_products_is_that_of_a_machine() -> None:
    assert 1e8 < matmul_rate(torch.device("cpu"), 128) < 1e15
