"""The bench of load, on little: what it writes is what it says, and its runs count as finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import load, record
from tests.support.comparisons import read_records

pytestmark = pytest.mark.slow


def test_the_parts_of_the_bench_measure_what_they_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)

    def in_this_process(function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    monkeypatch.setattr(load, "in_own_process", in_this_process)
    load.measure_load(200, [30, 60], 10, "tiny")
    content = record.load("tiny")
    encoded, few, more, comparison = content["records"]
    assert encoded["name"] == "load_and_encode" and 150 < encoded["rows"] <= 200
    assert encoded["peak_megabytes"] >= encoded["peak_megabytes_of_few_rows"] > 100
    assert [few["lines"], more["lines"]] == [30, 60]
    assert all(part["lines_per_second"] > 0 and part["peak_megabytes"] > 100 for part in (few, more))
    assert comparison["runs"] == 10 and comparison["page_megabytes"] > 0
    assert content["command"].endswith("load --rows 200 --runs 10 --lines 30 --lines 60 --result tiny")


def test_finished_runs_are_read_back_and_none_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = load.write_finished_runs(tmp_path, 20)

    def refused(*_: Any) -> None:
        pytest.fail("a run was begun")

    monkeypatch.setattr(
        "experiments.comparing.grid._in_processes", lambda jobs, *_: refused() if jobs else ()
    )
    load.compare_experiment(load.Experiment.load(experiment), {}, tmp_path / "runs", quiet=True)
    records = read_records(tmp_path / "runs" / "results.json")
    assert len(records) == 20
    assert len({record.metrics["test_metric"] for record in records if record.metrics}) == 20
