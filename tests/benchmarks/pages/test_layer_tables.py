"""The pages' tables of single layers and of steps on a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import record as recording
from benchmarks.pages.gpu_tables import gpu
from benchmarks.pages.layer_tables import (
    _mean_of_pairs,
    layer_pair_table,
    layers_worth,
    search_deep,
    search_deep_k2,
    single_layer_table,
)
from tests.support.markdown_tables import table, tables
from tests.support.truths import write_truth


def test_a_layer_has_a_row_with_its_means(tmp_path: Path) -> None:
    content = {
        "command": "python -m benchmarks table",
        "machine": {"processor": "x86_64", "cores": 2, "threads": 1, "gpu": "none"},
        "run": {
            "backbone": {"name": "e5-small"},
            "task": {"name": "trec"},
            "data": {"train_size": 2000, "test_size": 100},
            "training": {"epochs": 5},
        },
        "records": [
            {
                "layers": [7],
                "seeds": [0, 1],
                "dev_metric": [0.9, 0.92],
                "test_metric": [0.8, 0.8],
                "train_flops": [2e12, 4e12],
            }
        ],
    }
    path = tmp_path / "truth_trec_e5_k1.json"
    path.write_text(json.dumps(content))
    text = single_layer_table(path)
    assert table(text) == [
        {"layer": "7", "dev %": "91.0 ± 1.4", "test %": "80.0 ± 0.0", "10^12 FLOPs": "3.0"}
    ]
    assert "2 seeds, on 2 cores of x86_64" in text
    assert "100 that all layers share, the best score of 80.0 lies between 71.1 and 86.7 (95 %)" in text


def test_a_pair_has_a_place_by_its_lower_and_its_upper_layer(tmp_path: Path) -> None:
    path = write_truth(tmp_path)
    content = json.loads(path.read_text("utf-8"))
    machine = {"processor": "x86_64", "cores": 2, "threads": 1, "gpu": "none"}
    content = {**content, "command": "python -m benchmarks table", "machine": machine}
    for record in content["records"]:
        record["train_flops"] = [2e12 - 1e12 * record["layers"][0]] * 2
    path.write_text(json.dumps(content), encoding="utf-8")
    text = layer_pair_table(path)
    rows = table(text)
    assert [[row[upper] for upper in "123"] for row in rows] == [
        ["11.0", "21.0", "31.0"],
        ["", "31.0", "41.0"],
        ["", "", "51.0"],
    ]
    assert [row["10^12 FLOPs"] for row in rows] == ["2.0", "1.0", "0.0"]
    assert "1 epochs, 2 seeds, on 2 cores of x86_64" in text
    assert "the best pair is 2+3, the worst 0+1" in text
    assert "the best score of 51.0 lies between" in text
    assert "halves of the seeds agree by a Kendall's tau of 1.00" in text
    assert "Pairs of neighbours have 31.0 on average, others 31.0." in text
    means = {(0, 1): 0.5, (1, 2): 0.7, (0, 2): 0.9}
    assert (_mean_of_pairs(means, True), _mean_of_pairs(means, False)) == ("60.0", "90.0")


def test_a_shape_has_a_table_and_what_had_no_time_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    step = {"seconds": 0.01, "ratio_time": 0.5, "tokens_per_second": 1234.5, "share_of_matmul_rate": 0.25}
    slow = {**step, "seconds": 0.02, "ratio_time": 1.0}
    content = {
        "command": "python -m benchmarks gpu --minutes 1",
        "machine": {"gpu": "card"},
        "tests": {"closing_line": "3 passed"},
        "left_out": ["sharing"],
        "records": [
            {"shape": "small", "name": "peft_lora", **slow},
            {"shape": "small", "name": "late", **step},
            {"shape": "large", "name": "late", **step},
        ],
    }
    (tmp_path / "gpu.json").write_text(json.dumps(content))
    small, large = tables(gpu())
    assert [row["small"] for row in small] == ["`late`", "`peft_lora`"]
    assert large[0]["tokens a second"] == "1,234"
    assert "trials that share the card" in gpu()


def test_a_search_has_a_row_a_task_and_a_line_says_what_its_layer_is_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "RESULTS", tmp_path)
    measured = {"mean": 0.9, "sd": 0.01, "n": 2}
    row = {
        "strategy": "gradient",
        "task": "trec",
        "layers": [[8], [7]],
        "test_metric": measured,
        "regret": {"mean": 0.002, "sd": 0.001, "n": 2},
        "total_flops": 4e12,
        "cost": 0.4,
    }
    truth = {
        "seeds": 2,
        "ceiling": 0.6,
        "worst": 0.8,
        "best": 0.91,
        "choice": 0.0123,
        "backbone": "e5-small",
    }
    by_hand = {"strategy": "middle", "test_metric": {"mean": 0.895, "sd": 0.01, "n": 2}}
    content = {
        "command": "python -m benchmarks search-deep",
        "tables": {"trec": truth, "sst2": truth},
        "summary": [row, {**row, "strategy": "first", "task": "sst2"}],
        "records": [
            {
                "strategy": strategy,
                "task": task,
                "seed": seed,
                "k": 1,
                "test_metric": 0.89 + seed / 50,
                "kendall_tau": tau and tau + seed / 10,
            }
            for strategy, task, tau in (("gradient", "trec", 0.2), ("first", "sst2", None))
            for seed in (0, 1)
        ],
    }
    (tmp_path / "search_deep.json").write_text(json.dumps(content))
    # seeds in another order, and one of sst2 is missing
    trained = [("trec", 1, 0.88), ("trec", 0, 0.87), ("sst2", 0, 0.8)]
    prompt_tuning = {
        "command": "python -m benchmarks prompt-tuning",
        "rates": [0.01, 0.05, 0.2],
        "machine": {"cores": 2, "processor": "x86_64", "gpu": "none"},
        "records": [
            {"task": task, "seed": seed, "test_metric": score, "train_flops": 2e13}
            for task, seed, score in trained
        ],
    }
    (tmp_path / "prompt_tuning.json").write_text(json.dumps(prompt_tuning))
    default = {
        "method": "default",
        "backbone": "e5-small",
        "task": "trec",
        "shots": None,
        "train_flops": 8e12,
    }
    within = [{**default, "budget_flops": 1e13, "seed": n, "test_accuracy": 0.91} for n in (0, 1)]
    # of another backbone, of few rows, of a task with other seeds, of another method, and without figures
    others = [
        {"backbone": "minilm-l6"},
        {"shots": 16},
        {"task": "sst2", "seed": 1},
        {"method": "lora"},
        {"budget_flops": 1e12},
    ]
    records = [*within, *({**within[0], **other} for other in others)]
    del records[-1]["test_accuracy"]
    (tmp_path / "methods_deep.json").write_text(json.dumps({"records": records}))
    assert "at the rate of 0.01, 0.05 and 0.2 that dev chose with another seed" in search_deep()
    (said,) = [part for part in search_deep().split("\n\n") if part.startswith("The defaults")]
    assert said.endswith(
        "on `trec` within 10 * 10^12 operations 3.50 ± 0.71 points beside Prompt Tuning for 0.40 of its "
        "operations."
    )
    first, second = table(search_deep())
    assert first == {
        "search": "`gradient`",
        "task": "`trec`",
        "layers by seed": "8, 7",
        "test %": "90.0 ± 1.0",
        "gain, points": "2.50 ± 0.71",
        "regret, points": "0.20 ± 0.10",
        "Kendall's tau": "0.25 ± 0.07",
        "cost": "0.40",
    }
    assert (second["task"], second["Kendall's tau"], second["gain, points"]) == ("`sst2`", "", "")
    ends = "on `trec` 80.0 % at the worst layer, 91.0 % at the best"
    told = f"{ends} (a deviation of 1.23 points without that of seeds)"
    found = "and `gradient` finds 90.0 % for 0.40 of a training with its prompt at the input."
    one = layers_worth()
    assert one.startswith(
        "What choosing layers is worth for one prompt on the twelve of e5-small (2,000 rows"
    )
    assert one.endswith(f"picked on the test that they are scored on): {told}, {found}")
    of_pairs = [{**record, "k": 2} for record in content["records"]]
    (tmp_path / "search_deep_k2.json").write_text(json.dumps({**content, "records": of_pairs}))
    assert table(search_deep_k2()) == [first, second]
    assert search_deep_k2().startswith("Two generated prompts on e5-small, their layers found by each search")
    assert "`benchmarks/layers/search_deep_k2.yml` says what each name is" in search_deep_k2()
    two = layers_worth().removeprefix(f"{one} ")
    assert two.startswith(
        "What choosing layers is worth for two prompts on the twelve of e5-small (2,000 rows"
    )
    assert (
        "on `trec` 80.0 % at the worst pair, 91.0 %" in two and "with its first prompt at the input." in two
    )
    content["summary"].append({**row, **by_hand})
    (tmp_path / "search_deep.json").write_text(json.dumps(content))
    assert f"{told}, 89.5 % in the middle, {found}" in layers_worth()
