"""The README says what the committed results say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record as recording
from benchmarks.pages import markdown
from benchmarks.pages.method_tables import methods, summary
from benchmarks.pages.tables import (
    PAGE,
    README,
    SECTION,
    comparison,
    neighbours,
    page,
    search_cost,
    speed,
    strategies,
    tuning,
)
from experiments.comparing.compare import COLUMNS
from experiments.comparing.groups import Comparison, RunRecord
from experiments.comparing.page import write_results


def test_the_written_results_are_those_of_the_json_files() -> None:
    section = SECTION.search(README.read_text(encoding="utf-8"))
    assert section is not None
    assert section.group(0) == f"{section[1]}{summary()}\n{section[2]}"
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
    lines = speed().splitlines()
    assert "B 8, T 128 and P 10" in lines[0]
    assert "1.2 % of a step" in lines[0]
    assert lines[2].endswith("| time, 1 thread | time, 2 threads |")
    assert lines[3].count("---") == 6
    assert lines[4:6] == [
        "| `late_6` | 0.70 | 0.50 | 0.80 | 0.75 | 0.71 |",
        "| `search_step` | 2.40 |  | 0.90 | 2.50 | 2.60 |",
    ]
    assert lines[-3].endswith("late layer 1.04.")


def test_whole_runs_are_listed_beside_peft(results: Path) -> None:
    def whole(name: str, flops: float, layers: list[int]) -> dict[str, Any]:
        accuracies = {"dev_accuracy": 0.9, "test_accuracy": 0.95}
        return {"name": name, "ratio_flops": flops, "ratio_time": flops / 2, "layers": layers, **accuracies}

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
    lines = search_cost().splitlines()
    assert "2.25 times the FLOPs" in lines[0]
    assert "one peft PromptTuning training" in lines[0]
    assert lines[0].endswith("1,000 TREC questions, 4 epochs, one seed:")
    assert lines[-2:] == [
        "| peft PromptTuning training | 1.00 | 0.50 | 90.0 | 95.0 | none |",
        "| SPT-DARTS | 2.25 | 1.12 | 90.0 | 95.0 | 3+5 |",
    ]


def test_each_derivation_of_a_search_has_a_row_judged_by_the_truth(results: Path) -> None:
    def row(variant: str, derivation: str | None, tau: float | None) -> dict[str, Any]:
        score = {"mean": 0.905, "sd": 0.004, "n": 5}
        return {
            "variant": variant,
            "derivation": derivation,
            "test_accuracy": score,
            "regret": {"mean": 0.0021, "sd": 0.001, "n": 5},
            "kendall_tau": tau,
            "stability": 0.5,
            "train_flops": {"mean": 3e12, "sd": 0.0, "n": 5},
        }

    result = {
        "command": "python -m benchmarks strategies",
        "trainings": 4.0,
        "budget_flops": 4e12,
        "train_size": 2000,
        "table_seeds": 6,
        "spread": {"choice": 0.0012, "seed": 0.006, "best": 0.912, "worst": 0.901},
        "summary": [
            row("spt_darts", "top_k", 0.25),
            row("spt_darts", "pruned", 0.5),
            row("random", None, None),
        ],
    }
    (results / "strategies.json").write_text(json.dumps(result), encoding="utf-8")
    lines = strategies().splitlines()
    assert "2,000 TREC questions with 6 seeds" in lines[0]
    assert "between 90.1 and 91.2 %" in lines[0]
    assert "deviation of 0.12 points, the seed of a single training for 0.60" in lines[0]
    assert "no more than 4 trainings' FLOPs" in lines[0]
    assert lines[-3:] == [
        "| `spt_darts` | top_k | 90.5 ± 0.4 | 0.21 ± 0.10 | 0.25 | 0.50 | 3.00 |",
        "| `spt_darts` | pruned | 90.5 ± 0.4 | 0.21 ± 0.10 | 0.50 | 0.50 | 3.00 |",
        "| `random` |  | 90.5 ± 0.4 | 0.21 ± 0.10 |  | 0.50 | 3.00 |",
    ]


def test_a_comparison_is_listed_from_the_files_that_spt_compare_writes(results: Path) -> None:
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
    lines = comparison().splitlines()
    assert lines[0].startswith("Strategies on sst2, searched and retrained whole with 2 seeds (500 rows")
    assert "`spt compare compare.yml`" in lines[0]
    assert lines[-2:] == [
        "| `spt_darts` | 78.5 ± 0.7 | 80.5 ± 0.7 |  | 0+3, 1+3 | 0.33 | 4.0 | 90 |",
        "| `random` | 68.5 ± 0.7 | 70.5 ± 0.7 | 0.50 | 0+3, 1+3 | 0.33 | 4.0 | 90 |",
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
    lines = methods().splitlines()
    assert "with seed 7" in lines[0]
    assert "(`python -m benchmarks methods here.yml`; `python -m benchmarks methods there.yml`)" in lines[0]
    # q(0.05, 3 groups) = 2.343; 2.343 * sqrt(3 * 4 / (6 * 2 blocks))
    assert "On `trec-16`, where mean ranks that are 2.3 apart" in lines[2]
    assert lines[4:9] == [
        "|  | rank | runs | test accuracy | parameters | learning rate |",
        "| --- | --- | --- | --- | --- | --- |",
        "| `late` | 3.0 | 2 | 55.0 ± 7.1 % | 1,234 | 0.01 |",
        "| `lora` | 1.0 | 2 | 75.0 ± 7.1 % | 1,234 | 0.01 |",
        "| `spt` | 2.0 | 2 | 65.0 ± 7.1 % | 1,234 | 0.01 |",
    ]
    assert lines[10] == "Layers by seed: `spt`: 0+3, 1+3."
    assert lines[12] == "On `trec`:"
    assert lines[-1] == "| `late` |  | 1, 1 failed | 90.0 % |"
    lines = summary().splitlines()
    assert "over 2 seeds" in lines[0] and "those on `trec-16`" in lines[0]
    assert lines[2:] == [
        "| method | parameters | `trec-16` | `trec` |",
        "| --- | --- | --- | --- |",
        "| `late` | 1,234 | 55.0 ± 7.1 | 90.0 ± 0.0 |",
        "| `lora` | 1,234 | 75.0 ± 7.1 |  |",
        "| `spt` | 1,234 | 65.0 ± 7.1 |  |",
    ]


def test_the_page_has_a_part_for_what_was_measured_and_none_for_the_rest(results: Path) -> None:
    found = {"cosine_before": 1.0, "cosine_after": 0.61, "cosine_control": 0.2}
    summary = {"labels": {**found, "same_word": 0.95, "test_accuracy": 0.812}}
    content = {"command": "python -m benchmarks neighbours", "summary": summary}
    (results / "neighbours.json").write_text(json.dumps(content), encoding="utf-8")
    assert [line for line in page().splitlines() if line.startswith("#")] == [
        "# Results",
        "## Words of a prompt",
    ]


def test_tuning_is_told_with_its_interval_and_its_overhead(results: Path) -> None:
    records = [
        {"task": "trec", "default_dev": 0.7, "tuned_dev": 0.8, "default_test": d, "tuned_test": t}
        for d, t in ((0.5, 0.55), (0.6, 0.61))
    ]
    content = {
        "command": "python -m benchmarks tuning",
        "trials": 10,
        "shots": 16,
        "overhead": {"ratio": 1.1},
        "difference": {"trec": {"mean": 0.03, "low": -0.224, "high": 0.284}},
        "records": records,
    }
    (results / "tuning.json").write_text(json.dumps(content), encoding="utf-8")
    lines = tuning().splitlines()
    assert "best on dev of 10 trials" in lines[0] and "1.10 times half" in lines[0]
    assert lines[-1] == (
        "| `trec` | 70.0 ± 0.0 | 80.0 ± 0.0 | 55.0 ± 7.1 | 58.0 ± 4.2 | +3.0 | -22.4 to +28.4 | 2 |"
    )


def test_words_are_told_by_start_with_how_near_they_were_before(results: Path) -> None:
    found = {"cosine_before": 1.0, "cosine_after": 0.61, "cosine_control": 0.2}
    summary = {"labels": {**found, "same_word": 0.95, "test_accuracy": 0.812}}
    content = {"command": "python -m benchmarks neighbours", "summary": summary}
    (results / "neighbours.json").write_text(json.dumps(content), encoding="utf-8")
    assert neighbours().splitlines()[-1] == "| labels | 0.20 | 1.00 | 0.61 | 95 | 81.2 |"


def test_a_command_of_an_older_result_is_shown_as_it_is_given_today() -> None:
    shown = markdown.command("spt bench speed --repeats 3")
    assert shown == markdown.command("python -m benchmarks speed --repeats 3")
    assert shown == "`python -m benchmarks speed --repeats 3`"
    assert markdown.command("spt compare a.yml") == "`spt compare a.yml`"
