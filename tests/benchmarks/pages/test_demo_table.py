"""The demo's sentence and table, from a JSON of two seeds."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record
from benchmarks.pages.demo_table import demo, demo_sentence
from tests.support.markdown_tables import table


def run(score: float, layers: list[int]) -> dict[str, Any]:
    return {
        "layers": layers,
        "dev_metric": score + 0.02,
        "test_metric": score,
        "test_interval": [score - 0.02, score + 0.01],
        "test_size": 1000,
        "total_flops": 4.25e12,
        "tunable_parameters": 1234,
    }


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    records = [
        {
            "seed": seed,
            "difference": difference,
            "share_of_operations": 0.75,
            "trials": 4,
            "trials_flops": 2e13,
            "best_trial": run(0.89, [2, 3]),
            "input_prompt": run(0.86, [0]),
            "head": run(0.8, []),
        }
        for seed, difference in enumerate((0.03, 0.021))
    ]
    rates = {
        "rate": 0.05,
        "epochs": 8,
        "seed_of_rates": 100,
        "dev_metric_by_rate": {"0.02": 0.8, "0.05": 0.9},
    }
    content = {"command": "python -m benchmarks demo --seeds 2", "records": records, "input_prompt": rates}
    (tmp_path / "demo.json").write_text(json.dumps(content), encoding="utf-8")


def test_the_sentence_has_the_range_over_seeds() -> None:
    assert demo_sentence() == (
        "Over 2 seeds its best trial was +2.1 to +3.0 points ahead of a prompt at the input on 1,000 test "
        "rows, and its search and training together took 0.75 of the operations of that prompt's training; "
        "all 4 trials took 4.7 times these."
    )


def test_each_seed_has_a_row_for_the_best_trial_and_the_baselines() -> None:
    rows = table(demo())
    assert [(row["seed"], row["run"], row["layers"]) for row in rows[:3]] == [
        ("0", "best trial", "2+3"),
        ("0", "input prompt", "0"),
        ("0", "head alone", "none"),
    ]
    assert rows[0]["test %"] == "89.0" and rows[0]["95 % interval over rows"] == "87.0 to 90.0"
    assert rows[3]["seed"] == "1" and rows[0]["10^12 FLOPs"] == "4.2" and rows[0]["parameters"] == "1,234"
    assert "dev % 80.0 at 0.02, 90.0 at 0.05" in demo() and demo_sentence() in demo()
