"""The GPU bench: its parts on the CPU, and what it does where there is no GPU or no time."""

from __future__ import annotations

import time

import pytest
import torch

from benchmarks.cost.contenders import Shape, contenders
from benchmarks.gpu import memory
from benchmarks.gpu.measure import measure_gpu, measured
from benchmarks.gpu.memory import bisected, largest_batch
from benchmarks.gpu.sharing import rates_of
from benchmarks.gpu.steps import step_records
from spt.errors import InputError

CPU = torch.device("cpu")
SMALL = Shape(batch=2, tokens=16, prompt=4, layers=12, hidden=64)


@pytest.mark.parametrize("room", [0, 1, 63, 64, 100, 1000, 5000])
def test_bisecting_ends_within_an_eighth_of_what_fits(room: int) -> None:
    rows = bisected(lambda rows: rows <= room, first=64, last=4096)
    assert rows <= room
    assert room - rows <= max(1, rows // 8) or rows == 4096


def test_the_largest_batch_is_found_by_running_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def filled(shape: Shape, device: torch.device) -> object:
        if shape.batch > 70:
            raise torch.OutOfMemoryError
        return contenders(SMALL, device)

    monkeypatch.setattr(memory, "contenders", filled)
    assert 64 <= largest_batch("head", SMALL, CPU) <= 70


@pytest.mark.slow
def test_steps_are_timed_beside_one_of_prompt_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    # compiling takes a minute of a processor
    monkeypatch.setattr("spt.model.PromptedModel.compile", lambda *_, **__: None)
    records = {r["name"]: r for r in step_records("small", SMALL, CPU, repeats=1)}
    assert records["peft_prompt_tuning"]["ratio_time"] == 1
    assert records["late_6_cached_compiled"]["flops"] == records["late_6_cached"]["flops"]
    for record in records.values():
        assert record["tokens_per_second"] == pytest.approx(32 / record["seconds"])
        assert record["share_of_matmul_rate"] > 0


@pytest.mark.slow
def test_trials_on_one_device_answer_with_their_rates() -> None:
    rates = rates_of(2, SMALL, CPU, seconds=0.2)
    assert len(rates) == 2
    assert min(rates) > 0


def test_parts_without_time_are_named() -> None:
    def late() -> str:
        time.sleep(0.2)
        return "done"

    parts = {"first": late, "records/second": lambda: [1], "third": late}
    *_, last = measured(parts, time.monotonic() + 0.1)
    assert last == {"records": [], "first": "done", "left_out": ["records/second", "third"]}
    *_, last = measured(parts, time.monotonic() + 60)
    assert last == {"records": [1], "first": "done", "third": "done", "left_out": []}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_refused() -> None:
    with pytest.raises(InputError, match="There is no GPU"):
        measure_gpu(1, "gpu")
