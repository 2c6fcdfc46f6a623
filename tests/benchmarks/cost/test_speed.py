"""The speed benchmark: counts that do not depend on the machine, and that a stopped measurement goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import record
from benchmarks.cost import growth as growing
from benchmarks.cost import speed
from benchmarks.cost.contenders import Shape
from benchmarks.cost.growth import chart, growth
from benchmarks.cost.search_step import contenders_and_searches
from benchmarks.cost.speed import UNIT, counts, measure_speed, ratios

# largest FLOPs and saved bytes of a step, in units of one peft PromptTuning step
LIMITS = {
    "spt_4_7_9_11": (0.83, 0.43),
    "late_6": (0.74, 0.3),
    "late_6_cached": (0.51, 0.3),
    "late_9_cached": (0.26, 0.16),
}
SMALL = Shape(batch=2, tokens=16, prompt=4, layers=12, hidden=64)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, float]]:
    # ratios are those of more rows
    makers = contenders_and_searches(Shape(batch=1), CPU)
    names = (UNIT, "search_step", *LIMITS)
    return {r["name"]: r for r in ratios({name: counts(makers[name]()) for name in names})}


@pytest.mark.parametrize("name", LIMITS)
def test_a_step_costs_no_more_than_the_layers_that_learn(
    name: str, found: dict[str, dict[str, float]]
) -> None:
    flops, saved = LIMITS[name]
    assert found[name]["ratio_flops"] <= flops
    assert found[name]["ratio_saved_bytes"] <= saved


@pytest.mark.parametrize(
    "name", [n for n in contenders_and_searches(SMALL, CPU) if not n.endswith("compiled")]
)
def test_a_step_of_each_method_does_work(name: str) -> None:
    assert counts(contenders_and_searches(SMALL, CPU)[name]())["flops"] > 0


def test_a_search_step_costs_no_more_than_its_passes(found: dict[str, dict[str, float]]) -> None:
    assert found["search_step"]["ratio_flops"] <= 2.6


def test_caching_the_prefix_saves_its_operations_and_nothing_of_the_backward_pass(
    found: dict[str, dict[str, float]],
) -> None:
    assert found["late_6_cached"]["flops"] < 0.72 * found["late_6"]["flops"]
    assert found["late_6_cached"]["saved_bytes"] == found["late_6"]["saved_bytes"]


def test_making_the_prompts_is_a_small_part_of_a_step() -> None:
    assert speed.generation(Shape(batch=1), CPU, repeats=1)["share_of_flops"] < 0.03


def test_cost_grows_with_what_is_varied(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"layers": (2, 4), "tokens": (8, 16), "prompt": (1, 8), "prompt_layers": (1, 2)}
    monkeypatch.setattr(growing, "VALUES", values)
    grown = growth(CPU, repeats=1, shape=Shape(batch=2, tokens=8, prompt=2, layers=4, hidden=64))
    figures = {(r["varied"], r["name"], r["value"]): (r["flops"], r["saved_bytes"]) for r in grown}
    for varied, (less, more) in values.items():
        for name in ("late",) if varied == "prompt_layers" else ("late", "input_prompt", UNIT):
            pairs = zip(figures[varied, name, less], figures[varied, name, more], strict=True)
            assert all(before < after for before, after in pairs)
    for varied, value in (("layers", 4), ("tokens", 16)):
        assert figures[varied, "late", value] < figures[varied, UNIT, value]
    drawing = chart(grown)
    assert all(text in drawing for text in ("prompt layers K", "tokens T", UNIT))


def test_a_stopped_measurement_goes_on_and_a_finished_one_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    kept = {UNIT, "late_6", "late_6_cached", "search_step", "frozen_forward"}
    asked: list[str] = []

    def few(shape: Shape, device: torch.device) -> dict[str, Any]:
        def watched(name: str, maker: Any) -> Any:
            return lambda: (asked.append(name), maker())[1]

        return {
            n: watched(n, make) for n, make in contenders_and_searches(shape, device).items() if n in kept
        }

    monkeypatch.setattr(speed, "contenders_and_searches", few)
    monkeypatch.setattr(speed, "in_own_process", lambda *_: 10**9)
    monkeypatch.setattr(speed, "growth", lambda *_: [])
    drawn = iter([RuntimeError("stopped"), "", ""])

    def draw(_: Any) -> str:
        step = next(drawn)
        if isinstance(step, Exception):
            raise step
        return str(step)

    monkeypatch.setattr(speed, "chart", draw)
    with pytest.raises(RuntimeError, match="stopped"):
        measure_speed(tmp_path / "parts", 1, "speed", SMALL)
    assert asked
    asked.clear()
    path = measure_speed(tmp_path / "parts", 1, "speed", SMALL)
    assert asked == []
    result = json.loads(path.read_text(encoding="utf-8"))
    assert {r["name"] for r in result["records"]} == kept
    for found in result["records"]:
        assert found["tokens_per_second"] == pytest.approx(2 * 16 / found["seconds"])
        assert found["ratio_time"] > 0
    unit = next(r for r in result["records"] if r["name"] == UNIT)
    assert unit["ratio_flops"] == unit["ratio_saved_bytes"] == unit["ratio_time"] == 1
    assert {r["name"] for r in result["latencies"]} >= {"unprompted", "input_prompt"}
    assert 0 < result["generation"]["share_of_flops"] < 1
