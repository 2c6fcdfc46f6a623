"""What bf16 changes, as a table of steps and one of accuracies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record as recording
from benchmarks.pages.precision_tables import precision
from tests.support.markdown_tables import tables


def step(name: str, kind: str, speedup: float) -> dict[str, Any]:
    return {"shape": "small", "name": name, "precision": kind, "seconds": 1.0, "speedup": speedup}


def accuracies(test: list[float], dev: float) -> dict[str, Any]:
    keys = {"condition": "small-trec", "method": "default", "budget_flops": 5e12}
    mean = {"mean": sum(test) / len(test), "sd": 0.01, "n": len(test)}
    entry = {**keys, "task": "trec", "backbone": "small", "dev_accuracy": dev, "test_accuracy": mean}
    return {
        "measurements": [{"command": "python -m benchmarks methods-deep"}],
        "summary": [{**entry, "budget_flops": 1e12}, entry, {**entry, "method": "lora"}],
        "records": [{**keys, "seed": seed, "test_accuracy": value} for seed, value in enumerate(test)],
    }


def test_steps_have_a_speed_and_the_defaults_what_bf16_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    content = {
        "command": "python -m benchmarks precision",
        "machine": {"threads": 2},
        "shapes": {"small": {"batch": 2, "tokens": 6}},
        "records": [
            step("late", "32", 1.0),
            step("late", "bf16", 3.04),
            step("late", "attention too", 2.0),
            step("lora", "32", 1.0),
            step("lora", "bf16", 2.5),
        ],
    }
    (tmp_path / "precision.json").write_text(json.dumps(content))
    assert precision().startswith("Steps on 2 CPU threads in bf16")
    assert tables(precision()) == [
        [
            {"shape": "small, B 2, T 6", "step": "`late`", "bf16": "3.0", "attention too": "2.0"},
            {"shape": "small, B 2, T 6", "step": "`lora`", "bf16": "2.5", "attention too": ""},
        ]
    ]
    (tmp_path / "methods_deep.json").write_text(json.dumps(accuracies([0.90, 0.92], 0.95)))
    narrow = accuracies([0.91, 0.93], 0.96)
    narrow["summary"] = narrow["summary"][1:2]
    (tmp_path / "methods_bf16.json").write_text(json.dumps(narrow))
    ((row,),) = tables(precision())[1:]
    assert row["on"] == "`trec`, small"
    assert (row["within"], row["32 bits, dev %"], row["bf16, dev %"]) == ("5", "95.0", "96.0")
    assert (row["32 bits, test %"], row["bf16, test %"]) == ("91.0 ± 1.0", "92.0 ± 1.0")
    assert row["bf16 to 32 bits on test"] == "+1.0 (+1.0 to +1.0)"
