"""What records say together, drawn and in tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record as recording
from benchmarks.equal_operations.chart import charts
from benchmarks.equal_operations.summary import summary_of
from benchmarks.pages.equal_operations_tables import defaults_worth, methods_deep, methods_official
from tests.support.markdown_tables import table, tables


def line(method: str, task: str, seed: int, test: float | None, **changes: Any) -> dict[str, Any]:
    figures = {
        "dev_accuracy": 0.9,
        "test_accuracy": test,
        "tunable_parameters": 1000 if method == "lora" else 100,
        "train_flops": 4e12,
        "seconds": 30.0,
        **({"learning_rate": 0.003} if method == "lora" else {}),
    }
    return {
        "method": method,
        "condition": f"l6-{task}",
        "backbone": "minilm-l6",
        "task": task,
        "shots": None,
        "seed": seed,
        "budget_flops": 5e12,
        **(figures if test is not None else {"over_budget": "An epoch takes 6 * 10^12."}),
        **changes,
    }


LINES = [
    line("lora", "trec", 0, 0.8),
    line("lora", "trec", 1, 0.9),
    line("default", "trec", 0, 0.82),
    line("default", "trec", 1, 0.90),
    line("slow", "trec", 0, None),
    line("slow", "trec", 1, None),
    line("lora", "sst2", 0, 0.7),
    line("default", "sst2", 0, 0.6),
]


def test_differences_are_of_the_same_seed_and_places_of_means() -> None:
    content = summary_of(LINES, "lora")
    entries = {(entry["task"], entry["method"]): entry for entry in content["summary"]}
    default = entries["trec", "default"]
    assert default["difference"]["mean"] == pytest.approx(0.01)
    assert default["difference"]["n"] == 2
    # the difference of seed 1 is 0 and of seed 0 0.02: t(1) * sd / sqrt(2) around their mean
    assert default["difference"]["high"] == pytest.approx(0.01 + 12.7062 * 0.0141421 / 2**0.5, abs=1e-4)
    assert (default["place"], default["of"]) == (1, 2)
    assert entries["trec", "lora"]["place"] == 2 and "difference" not in entries["trec", "lora"]
    assert entries["trec", "slow"]["reason"].startswith("An epoch") and "place" not in entries["trec", "slow"]
    assert (entries["sst2", "default"]["place"], entries["sst2", "lora"]["place"]) == (2, 1)


def test_means_over_tasks_are_of_methods_with_figures_on_all() -> None:
    found = {entry["method"]: entry for entry in summary_of(LINES, "lora")["over_tasks"]}
    assert found.keys() == {"lora", "default"}
    assert found["default"]["tasks"] == ["trec", "sst2"]
    assert found["default"]["test_accuracy"] == pytest.approx((0.86 + 0.6) / 2)
    # of the one seed that both tasks have
    assert found["default"]["difference"]["mean"] == pytest.approx((0.82 + 0.6) / 2 - (0.8 + 0.7) / 2)
    assert found["default"]["difference"]["n"] == 1 and "difference" not in found["lora"]
    assert found["default"]["tunable_parameters"] == 100


def test_the_difference_of_means_over_tasks_has_an_interval_over_seeds() -> None:
    lines = [*LINES, line("lora", "sst2", 1, 0.7), line("default", "sst2", 1, 0.8)]
    found = {entry["method"]: entry for entry in summary_of(lines, "lora")["over_tasks"]}
    difference = found["default"]["difference"]
    # by seed (0.02 - 0.1) / 2 and (0.0 + 0.1) / 2
    assert difference["mean"] == pytest.approx((-0.04 + 0.05) / 2)
    assert difference["low"] == pytest.approx(0.005 - 12.7062 * 0.09 / 2, abs=1e-4)


def test_a_mean_over_some_of_the_seeds_is_none() -> None:
    entries = summary_of([*LINES[:2], LINES[2], line("default", "trec", 1, None)], "lora")["summary"]
    assert "reason" in entries[1] and "test_accuracy" not in entries[1]


def test_a_picture_a_backbone_and_number_of_shots() -> None:
    few = [line("lora", "trec", 0, 0.5, shots=16, condition="few"), line("slow", "trec", 0, None, shots=8)]
    drawn = charts(summary_of([*LINES, *few], "lora")["summary"])
    assert drawn.keys() == {"minilm-l6", "minilm-l6_16"}
    for words in ("default", "lora", "Pareto front", "trec, test %", "sst2, test %", "parameters"):
        assert words in drawn["minilm-l6"]
    assert "slow" not in drawn["minilm-l6"]


def test_the_page_has_tables_over_tasks_and_of_each_condition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    content = {
        "measurements": [{"command": "python -m benchmarks methods-deep"}],
        **summary_of(LINES, "lora"),
        "sweep": [{"seed": 100}],
        "records": LINES,
    }
    (tmp_path / "methods_deep.json").write_text(json.dumps(content))
    (tmp_path / "methods_deep_minilm-l6.svg").write_text("<svg/>")
    text = methods_deep()
    over_tasks, trec, sst2 = tables(text)
    assert over_tasks[0] == {
        "method": "`lora`",
        "budget": "5",
        "test %": "77.5",
        "to `lora`": "",
        "parameters": "1,000",
        "10^12 FLOPs": "4.0",
        "seconds": "30",
    }
    assert [row["method"] for row in trec] == ["`default`", "`lora`"]
    assert [row["rate"] for row in trec] == ["", "0.003"]
    assert trec[0]["test %"] == "86.0 ± 5.7"
    assert trec[0]["to `lora`"] == "+1.0 (-11.7 to +13.7)"
    assert sst2[1]["to `lora`"] == "-10.0"
    assert "`slow` within 5: An epoch takes" in text
    assert "(../benchmarks/results/methods_deep_minilm-l6.svg)" in text
    assert "chosen on dev, for each budget, with seed 100" in text
    (tmp_path / "methods_official.json").write_text(json.dumps(content))
    assert tables(methods_official()) == [trec, sst2]
    assert "(`python -m benchmarks methods-deep`)" in methods_official()


def test_a_table_says_what_the_defaults_reach_beside_others_within_the_same_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    larger = [
        line("lora", "trec", 0, 0.95, budget_flops=1e13),
        line("default", "trec", 0, 0.99, budget_flops=1e13),
        line("default", "trec", 0, 0.99, budget_flops=2e13),
    ]
    setfit = [line("setfit", "sst2", seed, 0.7, train_flops=1e14) for seed in (0, 1)]
    lines = [*LINES, *larger, *setfit]
    content = {**summary_of(lines, "lora"), "records": lines}
    (tmp_path / "methods_deep.json").write_text(json.dumps(content))
    trec, sst2, more, parameters, operations = table(defaults_worth())
    assert trec == {
        "on": "`trec`, minilm-l6, 2,000 rows",
        "within": "5",
        "defaults": "86.0 ± 5.7",
        "`lora`": "85.0: +1.0 (-11.7 to +13.7)",
        "`ia3`": "",
        "`bitfit`": "",
        "`linear_probe`": "",
        "`late_prompt`": "",
        "`deep_prompts`": "",
        "`setfit`": "",
    }
    assert sst2["`lora`"].endswith(": -10.0") and sst2["`setfit`"] == "70.0: -10.0"
    assert (more["within"], more["`lora`"]) == ("10", "95.0: +4.0")
    assert "(1 or 2 with 2,000 rows)" in defaults_worth()
    assert (parameters["`lora`"], operations["`lora`"]) == ("0.10", "1.00")
    assert operations["`setfit`"] == "0.04"
    (tmp_path / "methods_deep.json").write_text(json.dumps(summary_of(LINES[:2], "lora")))
    assert defaults_worth() == ""
