"""The bench of precisions: each step in 32 bits and in bf16, ours also with attention in bf16."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import record
from benchmarks.cost import precision
from benchmarks.cost.contenders import Shape
from benchmarks.cost.measure import Step
from benchmarks.cost.precision import LORA, OURS, measure_precision
from tests.support.kernels import Kernels

SMALL = Shape(batch=2, tokens=6, prompt=4, layers=12, hidden=64)


def dtypes(step: Step) -> set[torch.dtype]:
    with Kernels() as kernels:
        step()
    return set().union(*kernels.dtypes.values())


@pytest.mark.slow
def test_each_step_is_timed_in_the_precision_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    attends: dict[str, set[torch.dtype]] = {}

    def seconds(steps: dict[str, Step], repeats: int) -> dict[str, float]:
        assert repeats == 2
        attends.update({name: dtypes(step) for name, step in steps.items()})
        return {name: 6.0 if name.endswith(" 32") else 2.0 for name in steps}

    monkeypatch.setattr(precision, "interleaved_seconds", seconds)
    written = json.loads(measure_precision(2, "small", {"small": SMALL}).read_text())
    assert written["command"] == "python -m benchmarks precision --repeats 2 --result small"
    assert written["shapes"]["small"]["hidden"] == 64
    figures = {(r["name"], r["precision"]): (r["seconds"], r["speedup"]) for r in written["records"]}
    assert figures == {
        (name, kind): (6.0, 1.0) if kind == "32" else (2.0, 3.0)
        for name in (*OURS, LORA)
        for kind in ("32", "bf16", "bf16, attention too")
        if name != LORA or kind in ("32", "bf16")
    }
    for name in OURS:
        assert attends[f"{name} 32"] == attends[f"{name} bf16"] == {torch.float32}
        assert torch.bfloat16 in attends[f"{name} bf16, attention too"]
