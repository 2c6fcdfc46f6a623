"""The README says what the committed results say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record as recording
from benchmarks.pages import markdown
from benchmarks.pages.method_tables import methods, short_summary, summary
from benchmarks.pages.tables import (
    PAGE,
    README,
    README_PARTS,
    SECTION,
    comparison,
    neighbours,
    page,
    search_cost,
    speed,
    strategies,
    tuning,
    with_results,
)
from experiments.comparing.compare import COLUMNS
from experiments.comparing.groups import Comparison, RunRecord
from experiments.comparing.page import write_results
from tests.support.markdown_tables import table, tables


def test_the_written_results_are_those_of_the_json_files() -> None:
    readme = README.read_text(encoding="utf-8")
    assert {place["name"] for place in SECTION.finditer(readme)} == README_PARTS.keys()
    assert readme == with_results(readme)
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    return tmp_path


def timed(name: str, threads: int, **ratios: float) -> dict[str, Any]:
    return {"name": name, "threads": threads, **{f"ratio_{key}": value for key, value in ratios.items()}}


def test_the_table_of_steps_has_a_row_a_method_and_a_time_for_each_number_of_threads(results: Path) -> None:
    result = {
        "command": "python -m benchmarks speed",
        "shape": {"batch": 8, "tokens": 128, "prompt": 10, "layers": 12},
        "generation": {"share_of_time": 0.0123},
        "latencies": [
            {"name": "late_layer", "threads": 1, "ratio_time": 1.04},
            {"name": "late_layer", "threads": 2, "ratio_time": 1.5},
        ],
        "records": [
            timed("late_6", 1, flops=0.7, saved_bytes=0.5, peak_bytes=0.8, time=0.75),
            timed("search_step", 1, flops=2.4, peak_bytes=0.9, time=2.5),
            timed("late_6", 2, flops=0.7, saved_bytes=0.5, peak_bytes=0.8, time=0.71),
            timed("search_step", 2, flops=2.4, peak_bytes=0.9, time=2.6),
        ],
    }
    (results / "speed.json").write_text(json.dumps(result), encoding="utf-8")
    head = ("method", "FLOPs", "saved activations", "peak memory", "time, 1 thread", "time, 2 threads")
    assert table(speed()) == [
        dict(zip(head, ("`late_6`", "0.70", "0.50", "0.80", "0.75", "0.71"), strict=True)),
        dict(zip(head, ("`search_step`", "2.40", "", "0.90", "2.50", "2.60"), strict=True)),
    ]
    assert "late layer 1.04" in speed()


# the names that committed results have for numbers, and today's
NAMES = {
    "dev_metric": "dev_accuracy",
    "test_metric": "test_accuracy",
    "total_flops": "train_flops",
    "total_seconds": "seconds",
}


def named(metrics: dict[str, Any], older: bool) -> dict[str, Any]:
    """Metrics under today's names, or those of an older version."""
    if older:
        return {NAMES.get(key, key): value for key, value in metrics.items()}
    return {**metrics, "metric": "accuracy"}


@pytest.mark.parametrize("older", [True, False])
def test_whole_runs_are_listed_beside_peft(older: bool, results: Path) -> None:
    def whole(name: str, flops: float, layers: list[int]) -> dict[str, Any]:
        scores = named({"dev_metric": 0.9, "test_metric": 0.95}, older)
        return {"name": name, "ratio_flops": flops, "ratio_time": flops / 2, "layers": layers, **scores}

    records = [whole("peft_prompt_tuning", 1.0, []), whole("spt_darts", 2.25, [3, 5])]
    ratios = {"flops": 2.25, "seconds": 1.125}
    settings = {"data.train_size": 1000, "training.epochs": 4}
    result = {
        "command": "python -m benchmarks search-cost",
        "ratios": ratios,
        "records": records,
        "settings": settings,
    }
    (results / "search_cost.json").write_text(json.dumps(result), encoding="utf-8")
    head = ("run", "FLOPs", "time", "dev %", "test %", "layers")
    assert table(search_cost()) == [
        dict(zip(head, ("peft PromptTuning training", "1.00", "0.50", "90.0", "95.0", "none"), strict=True)),
        dict(zip(head, ("SPT-DARTS", "2.25", "1.12", "90.0", "95.0", "3+5"), strict=True)),
    ]


@pytest.mark.parametrize("older", [True, False])
def test_each_derivation_of_a_search_has_a_row_judged_by_the_truth(older: bool, results: Path) -> None:
    def row(variant: str, derivation: str | None) -> dict[str, Any]:
        score = {"mean": 0.905, "sd": 0.004, "n": 5}
        numbers = {
            "test_metric": score,
            "regret": {"mean": 0.0021, "sd": 0.001, "n": 5},
            "stability": 0.5,
            "total_flops": {"mean": 3e12, "sd": 0.0, "n": 5},
        }
        return {"variant": variant, "derivation": derivation, **named(numbers, older)}

    result = {
        "command": "python -m benchmarks strategies",
        "date": "2026-11-21",
        "trainings": 4.0,
        "budget_flops": 4e12,
        "train_size": 2000,
        "table_seeds": 6,
        "spread": {"choice": 0.0012, "seed": 0.006, "best": 0.912, "worst": 0.901},
        "summary": [
            row("spt_darts", "top_k"),
            row("spt_darts", "pruned"),
            row("random", None),
        ],
        "records": [
            {"variant": "spt_darts", "derivation": "top_k", "kendall_tau": 0.25},
            {"variant": "spt_darts", "derivation": "top_k", "kendall_tau": None},
            {"variant": "spt_darts", "derivation": "pruned", "kendall_tau": 0.4},
            {"variant": "spt_darts", "derivation": "pruned", "kendall_tau": 0.6},
            {"variant": "random", "failure": "its process died"},
        ],
    }
    (results / "strategies.json").write_text(json.dumps(result), encoding="utf-8")
    rows = table(strategies())
    assert [(row["search"], row["derivation"], row["Kendall's tau"]) for row in rows] == [
        ("`spt_darts`", "top_k", "0.25"),
        ("`spt_darts`", "pruned", "0.50 ± 0.14"),
        ("`random`", "", ""),
    ]
    same = {"test %": "90.5 ± 0.4", "regret, points": "0.21 ± 0.10", "stability": "0.50"}
    assert all({**same, "FLOPs, trainings": "3.00"}.items() <= row.items() for row in rows)
    for number in ("2,000", "6 seeds", "90.1", "91.2 %", "0.12", "0.60", "4 trainings", "of 2026-11-21"):
        assert number in strategies()


@pytest.mark.parametrize("older", [True, False])
def test_a_comparison_is_listed_from_the_files_that_spt_compare_writes(older: bool, results: Path) -> None:
    def record(strategy: str, seed: int, accuracy: float) -> RunRecord:
        metrics = {
            "metric": "accuracy",
            "dev_metric": accuracy - 0.02,
            "test_metric": accuracy,
            "total_flops": 4e12,
            "total_seconds": 90.0,
            "train_size": 500,
            "layers": [seed, 3],
            "layers_total": 6,
        }
        return RunRecord(strategy, "sst2", seed, {}, metrics)

    records = [
        record(s, seed, a + seed / 100) for s, a in (("spt_darts", 0.8), ("random", 0.7)) for seed in (0, 1)
    ]
    compared = Comparison(records, [column.key for column in COLUMNS])
    write_results(results, "title", compared, COLUMNS, "spt compare compare.yml")
    (results / "results.json").rename(results / "comparison.json")
    if older:
        content = json.loads((results / "comparison.json").read_text(encoding="utf-8"))
        for row in content["rows"]:
            row["numbers"]["seconds"] = row["numbers"].pop("total_seconds")
            for split in ("dev", "test"):
                row["numbers"][f"{split}_accuracy"] = row["numbers"].pop(f"{split}_metric")
        (results / "comparison.json").write_text(json.dumps(content), encoding="utf-8")
    assert "`spt compare compare.yml`" in comparison()
    same = {"layers by seed": "0+3, 1+3", "stability": "0.33", "10^12 FLOPs": "4.0", "seconds": "90"}
    assert table(comparison()) == [
        {"strategy": "`spt_darts`", "dev %": "78.5 ± 0.7", "test %": "80.5 ± 0.7", "p": "", **same},
        {"strategy": "`random`", "dev %": "68.5 ± 0.7", "test %": "70.5 ± 0.7", "p": "0.50", **same},
    ]


def test_methods_have_a_table_a_condition_with_their_ranks_in_it(results: Path) -> None:
    def run(method: str, condition: str, seed: int, **metrics: Any) -> dict[str, Any]:
        which = {"method": method, "condition": condition, "task": "trec", "shots": None, "seed": seed}
        return {**which, **metrics, "measurement": int(condition == "trec")}

    scores = {"late": (0.5, 0.6), "lora": (0.7, 0.8), "spt": (0.6, 0.7)}
    records = [
        run(method, "trec-16", seed, test_accuracy=score, tunable_parameters=1234, learning_rate=0.01)
        for method, found in scores.items()
        for seed, score in enumerate(found)
    ]
    for line in records:
        line["layers"] = [line["seed"], 3] if line["method"] == "spt" else [3]
    records += [run("late", "trec", 0, test_accuracy=0.9), run("late", "trec", 1, failure="the loss is nan")]
    content = {
        "measurements": [
            {"command": "python -m benchmarks methods here.yml"},
            {"command": "python -m benchmarks methods there.yml"},
        ],
        "sweep": [{"seed": 7, "measurement": 0}],
        "records": records,
    }
    (results / "methods.json").write_text(json.dumps(content), encoding="utf-8")
    of_all, few, trec = tables(methods())
    same = {"runs": "2", "parameters": "1,234", "learning rate": "0.01"}
    assert few == [
        {"": "`late`", "rank": "3.0", "test accuracy": "55.0 ± 7.1 %", **same},
        {"": "`lora`", "rank": "1.0", "test accuracy": "75.0 ± 7.1 %", **same},
        {"": "`spt`", "rank": "2.0", "test accuracy": "65.0 ± 7.1 %", **same},
    ]
    assert trec == [{"": "`late`", "rank": "", "runs": "1, 1 failed", "test accuracy": "90.0 %"}]
    # q(0.05, 3 groups) = 2.343; 2.343 * sqrt(3 * 4 / (6 * 2 blocks))
    for shown in ("methods here.yml`", "methods there.yml`", "seed 7", "2.3", "`spt`: 0+3, 1+3"):
        assert shown in methods()
    assert of_all == table(summary())
    assert table(summary()) == [
        {"method": "`late`", "parameters": "1,234", "`trec-16`": "55.0 ± 7.1", "`trec`": "90.0 ± 0.0"},
        {"method": "`lora`", "parameters": "1,234", "`trec-16`": "75.0 ± 7.1", "`trec`": ""},
        {"method": "`spt`", "parameters": "1,234", "`trec-16`": "65.0 ± 7.1", "`trec`": ""},
    ]


def test_the_readme_has_the_methods_that_one_would_use_in_its_place_with_their_costs(results: Path) -> None:
    def line(method: str, condition: str, seed: int) -> dict[str, Any]:
        which = {"method": method, "condition": condition, "task": condition, "shots": None, "seed": seed}
        numbers = {"tunable_parameters": 2000, "seconds": 30 + seed, "test_accuracy": 0.5 + 0.1 * seed}
        return {**which, **numbers, "measurement": 0}

    lines = [line("spt", task, seed) for task in ("trec", "sst2") for seed in (0, 2)]
    lines += [line("lora", "trec", 0), line("idpg", "sst2", 0)]
    content = {"measurements": [{"command": "python -m benchmarks methods"}], "sweep": [], "records": lines}
    (results / "methods.json").write_text(json.dumps(content), encoding="utf-8")
    assert table(short_summary()) == [
        {
            "method": "`spt`",
            "parameters": "2,000",
            "seconds": "31",
            "`trec`": "60.0 ± 14.1",
            "`sst2`": "60.0 ± 14.1",
        },
        # its costs are those on sst2, where it was not run
        {"method": "`lora`", "parameters": "", "seconds": "", "`trec`": "50.0 ± 0.0", "`sst2`": ""},
    ]


def test_the_page_has_a_part_for_what_was_measured_and_none_for_the_rest(results: Path) -> None:
    found = {"cosine_before": 1.0, "cosine_after": 0.61, "cosine_control": 0.2}
    summary = {"labels": {**found, "same_word": 0.95, "test_accuracy": 0.812}}
    content = {"command": "python -m benchmarks neighbours", "summary": summary}
    (results / "neighbours.json").write_text(json.dumps(content), encoding="utf-8")
    assert [line for line in page().splitlines() if line.startswith("#")] == [
        "# Results",
        "## Words of a prompt",
        "## One prompt, layer by layer",
        "## Two prompts, pair by pair",
    ]


def test_tuning_is_told_with_its_interval_and_its_overhead(results: Path) -> None:
    records = [
        {"task": "trec", "default_dev": 0.7, "tuned_dev": 0.8, "default_test": d, "tuned_test": t}
        for d, t in ((0.5, 0.55), (0.6, 0.61))
    ]
    content = {
        "command": "python -m benchmarks tuning",
        "date": "2026-11-22",
        "trials": 10,
        "shots": 16,
        "overhead": {"ratio": 1.1},
        "difference": {"trec": {"mean": 0.03, "low": -0.224, "high": 0.284}},
        "records": records,
    }
    (results / "tuning.json").write_text(json.dumps(content), encoding="utf-8")
    assert table(tuning()) == [
        {
            "task": "`trec`",
            "default dev %": "70.0 ± 0.0",
            "tuned dev %": "80.0 ± 0.0",
            "default test %": "55.0 ± 7.1",
            "tuned test %": "58.0 ± 4.2",
            "difference on test": "+3.0",
            "95 % interval": "-22.4 to +28.4",
            "seeds": "2",
        }
    ]
    assert "10 trials" in tuning() and "searched on 2026-11-22" in tuning() and "1.10" in tuning()


def test_words_are_told_by_start_with_how_near_they_were_before(results: Path) -> None:
    found = {"cosine_before": 1.0, "cosine_after": 0.61, "cosine_control": 0.2}
    summary = {"labels": {**found, "same_word": 0.95, "test_accuracy": 0.812}}
    content = {"command": "python -m benchmarks neighbours", "summary": summary}
    (results / "neighbours.json").write_text(json.dumps(content), encoding="utf-8")
    cosines = {"random vector": "0.20", "before": "1.00", "after": "0.61"}
    shares = {"same word %": "95", "test %": "81.2"}
    assert table(neighbours()) == [{"`prompt.init`": "labels", **cosines, **shares}]


def test_a_command_of_an_older_result_is_shown_as_it_is_given_today() -> None:
    shown = markdown.command("spt bench speed --repeats 3")
    assert shown == markdown.command("python -m benchmarks speed --repeats 3")
    assert shown == "`python -m benchmarks speed --repeats 3`"
    assert markdown.command("spt compare a.yml") == "`spt compare a.yml`"
