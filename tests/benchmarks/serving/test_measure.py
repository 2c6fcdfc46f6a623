"""The bench of serving, on little: all systems answer, their work is counted, a stopped bench goes on."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import record
from benchmarks.pages.serving_tables import serving as serving_page
from benchmarks.serving import adapters_parallel, measure
from benchmarks.serving.adapters_parallel import Worker
from benchmarks.serving.measure import SYSTEMS, UNIT, ServingBench, figures, measure_serving, typical
from benchmarks.serving.systems import Setup
from spt.errors import InputError
from tests.support.classifiers import TEXTS
from tests.support.markdown_tables import tables
from tests.support.tiny import make_backbone

# answers as adapters_worker.py does
WORKER = """
import json, sys
print(json.dumps({"adapters": "1.2.0"}), flush=True)
for line in sys.stdin:
    counted = json.loads(line)["count"]
    print(json.dumps({"flops": 7, "peak_bytes": 2**20} if counted else sys.argv[2:]), flush=True)
"""


class ThisProcess:
    """A pool of processes that is this process."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> ThisProcess:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, function: Callable[..., Any], *arguments: Any) -> SimpleNamespace:
        return SimpleNamespace(result=lambda: function(*arguments))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServingBench:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(measure, "ProcessPoolExecutor", ThisProcess)
    monkeypatch.setattr(measure, "trec_texts", lambda count: TEXTS[:count])
    monkeypatch.setattr(measure, "MOST_COPIES", 1)
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    monkeypatch.setattr(adapters_parallel, "WORKER", tmp_path / "worker.py")
    setup = Setup(str(make_backbone(tmp_path / "backbone")), 2, 3, 2, 32, 2)
    return ServingBench(setup, tasks=(1, 3), texts=3, batch=2, seconds=0)


@pytest.mark.slow
def test_every_system_is_measured_beside_the_others(
    bench: ServingBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_serving(tmp_path / "parts", bench, "tiny", Path(sys.executable))
    content = record.load("tiny")
    by = {(r["workload"], r["tasks"], r["system"]): r for r in content["records"]}
    parallel = {"adapters_parallel", "adapters_parallel_late"}
    assert {name for _, tasks, name in by if tasks == 1} == {*SYSTEMS, *parallel}
    copies = {"separate_models", "peft_lora_merged"}
    assert {name for _, tasks, name in by if tasks == 3} == {*SYSTEMS, *parallel} - copies
    assert content["adapters_versions"] == {"adapters": "1.2.0"}
    assert max(content["largest_difference"].values()) < 1e-5
    for (workload, tasks, name), measured in by.items():
        assert measured["texts"] == (1 if workload == "one_text" else 3)
        assert measured["calls"] == (3 if workload == "one_text" else 6)
        assert measured["tasks_texts_per_second"] == pytest.approx(tasks * measured["texts_per_second"])
        assert 0 < measured["p50_ms"] <= measured["p99_ms"] and measured["peak_mb"] > 0
        assert (measured["ratio_time"] == 1) == (name == UNIT)
    stream = {name: by["stream", 3, name]["flops"] for name in SYSTEMS if name not in copies}
    assert stream["fan_out_known"] < stream["fan_out"] < stream[UNIT]
    assert stream["peft_lora_switched"] == pytest.approx(3 * by["stream", 1, "peft_lora_switched"]["flops"])
    assert "separate_passes" in (tmp_path / "tiny.svg").read_text(encoding="utf-8")

    def again(*_: Any) -> None:
        pytest.fail("a finished part was measured again")

    for name in ("measure_tasks", "all_peaks"):
        monkeypatch.setattr(measure, name, again)
    measure_serving(tmp_path / "parts", bench, "tiny", Path(sys.executable))
    assert record.load("tiny")["records"] == content["records"]
    (tmp_path / "tiny.json").rename(tmp_path / "serving.json")
    one, stream_table = tables(serving_page())
    assert one[0].keys() == {"time, one text", "N = 1", "N = 3"} and len(one) == len(stream_table) == 9
    assert next(row for row in one if row["time, one text"] == "`separate_models`")["N = 3"] == ""


def test_rates_are_of_medians_and_latencies_of_all_calls() -> None:
    rounds = [[1.0, 2.0], [1.0, 4.0], [9.0, 3.0]]
    assert typical(rounds) == 1 + 3
    result = figures(rounds, [["a", "b"], ["c"]], tasks=4)
    assert result["texts_per_second"] == 3 / 4 and result["tasks_texts_per_second"] == 3
    assert (result["texts"], result["calls"]) == (3, 6)
    assert result["p50_ms"] == 2500 and result["p99_ms"] == pytest.approx(8750)


def test_the_table_of_a_result_says_how_fan_out_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    common = {
        "workload": "one_text",
        "tasks": 16,
        "texts": 1,
        "calls": 3,
        "p50_ms": 4,
        "p99_ms": 9,
        "peak_mb": 1234.5,
    }
    records = [
        {**common, "system": "fan_out", "ratio_time": 0.25, "tasks_texts_per_second": 400, "flops": 2e9},
        {
            **common,
            "system": "peft_lora_switched",
            "ratio_time": 1,
            "tasks_texts_per_second": 100,
            "flops": 4e9,
        },
        {
            **common,
            "system": "separate_passes",
            "ratio_time": 1,
            "tasks_texts_per_second": 90,
            "flops": 5e9,
        },
        {
            **common,
            "system": "adapters_parallel_late",
            "ratio_time": 0.2,
            "tasks_texts_per_second": 500,
            "flops": 1e9,
        },
    ]
    content = {
        "command": "python -m benchmarks serving",
        "setup": {"backbone": "e5-small", "prompt_length": 10, "first_layer": 8},
        "machine": {"threads": 1},
        "words_a_text": 9.5,
        "batch": 4,
        "largest_difference": {"16": 1e-6},
        "records": records,
    }
    (tmp_path / "serving.json").write_text(json.dumps(content), encoding="utf-8")
    page = serving_page()
    assert "16 tasks on one text take 0.25 of the time of 16 passes one after another, and 0.40 of" in page
    assert "4.0 times those of peft's LoRA with switched adapters, 0.8 times those of parallel" in page
    *_, detail = tables(page)
    assert list(detail[0].values()) == ["`fan_out`", "one text", "400", "4", "9", "2.00", "1,234"]


def test_a_python_without_the_library_is_refused() -> None:
    with pytest.raises(InputError, match="does not run adapters"):
        Worker(Path(shutil.which("true") or ""), Setup(backbone="."), 2, 0)
