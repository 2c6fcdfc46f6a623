"""What bf16 gains on this device."""

import pytest
import torch

from spt.process import precision


def test_the_gain_is_of_the_best_product_of_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 9.0, 9.0, 13.0, 0.0, 2.0, 5.0, 6.0])
    monkeypatch.setattr(precision, "PRODUCTS", 2)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(clock))
    # the best of 9 and 4 seconds in 32 bits, and of 2 and 1 in bf16
    assert precision.bf16_speedup(torch.device("cpu")) == 4.0
