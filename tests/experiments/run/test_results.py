"""metrics.json and search.json: written and read in one place, checked; older versions' are still read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.run.results import RunMetrics, SearchResult, with_current_names
from spt.errors import InputError
from spt.process.provenance import Provenance, machine, versions
from strategies.costs import ScoredSubset
from tests.support.metrics import METRICS

SEARCH = SearchResult(
    layers=(2, 4),
    evaluations=9,
    search_seconds=1.5,
    search_steps=10,
    search_flops=10**12,
    derivation_flops=10**10,
    derivation="ablation",
    scores={2: 0.25, 4: -0.5},
    gates={2: 0.9, 4: 0.8},
)
# what the version before wrote
OLDER_SEARCH = {
    "layers": [2, 4],
    "derivation": "ablation",
    "scores": {"2": 0.25, "4": -0.5},
    "gates": {"2": 0.9, "4": 0.8},
    "evaluations": 9,
    "seconds": 1.5,
    "steps": 10,
    "flops": 10**12,
    "derivation_flops": 10**10,
}
OLDER_METRICS = {
    "task": "cola",
    "backbone": "minilm-l6",
    "strategy": "spt_darts",
    "layers": [2, 4],
    "layers_total": 6,
    "seed": 3,
    "dev_accuracy": 0.7,
    "test_accuracy": 0.6,
    "f1": 0.5,
    "dev_metric": 0.41,
    "test_metric": -0.02,
    "gates": {"2": 0.9, "4": 0.8},
    "scores": None,
    "evaluations": 9,
    "prompt_parameters": 100,
    "head_parameters": 20,
    "tunable_parameters": 120,
    "search_seconds": 1.5,
    "train_seconds": 2.0,
    "search_steps": 10,
    "search_flops": 10**12,
    "train_flops": 2 * 10**12,
    "total_flops": 3 * 10**12,
    "steps": 20,
    "epochs": 2,
    "train_size": 80,
    "dev_size": 40,
    "test_size": 20,
    "versions": {"python": "3.12.3"},
    "machine": {"cores": 2, "gpu": "none"},
}


FRONT = replace(SEARCH, front=(ScoredSubset((4, 5), 0.7, 1 / 3), ScoredSubset((2, 4), 0.8, 2 / 3)))


@pytest.mark.parametrize("result", [METRICS, SEARCH, FRONT], ids=["metrics", "search", "front"])
def test_what_is_written_is_read_back(result: RunMetrics | SearchResult, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    result.write(path)
    assert type(result).read(path) == result
    assert json.loads(path.read_text(encoding="utf-8")) == result.as_json()


def test_provenance_stands_beside_the_metrics_with_its_four_keys() -> None:
    content = METRICS.as_json()
    assert "provenance" not in content
    assert {key: content[key] for key in ("command", "date", "versions", "machine")} == {
        "command": "spt run x.yml",
        "date": "2026-01-31",
        "versions": {"python": "3.12.3"},
        "machine": {"cores": 2, "gpu": "none"},
    }


def test_provenance_of_now_is_of_this_process() -> None:
    now = Provenance.now("make")
    assert (now.command, now.versions, now.machine) == ("make", versions(), machine())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", now.date or "")


def test_files_of_the_version_before_are_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(OLDER_SEARCH), encoding="utf-8")
    assert SearchResult.read(path) == SEARCH
    path.write_text(json.dumps(OLDER_METRICS), encoding="utf-8")
    provenance = replace(METRICS.provenance, command=None, date=None)
    assert RunMetrics.read(path) == replace(METRICS, provenance=provenance)


def test_a_search_without_a_hyper_network_has_no_derivation(tmp_path: Path) -> None:
    path = tmp_path / "search.json"
    path.write_text(
        '{"layers": [], "evaluations": 0, "seconds": 0.0, "steps": 0, "flops": 0}', encoding="utf-8"
    )
    assert SearchResult.read(path) == SearchResult((), 0, 0.0, 0, 0)


@pytest.mark.parametrize(
    ("scores", "metric"),
    [
        (
            {"dev_accuracy": 0.7, "test_accuracy": 0.6, "dev_metric": 0.7, "test_metric": 0.6, "f1": 0.5},
            "accuracy",
        ),
        ({"dev_accuracy": 0.7, "test_accuracy": 0.6, "dev_metric": 0.6, "test_metric": 0.5, "f1": 0.5}, "f1"),
        (
            {"dev_accuracy": 0.7, "test_accuracy": 0.6, "dev_metric": 0.6, "test_metric": 0.55, "f1": 0.5},
            "accuracy_and_f1",
        ),
        (
            {"dev_accuracy": 0.7, "test_accuracy": 0.6, "dev_metric": 0.3, "test_metric": 0.1, "f1": 0.5},
            "matthews",
        ),
        # by chance on test alone
        (
            {"dev_accuracy": 0.7, "test_accuracy": 0.6, "dev_metric": 0.65, "test_metric": 0.6, "f1": 0.6},
            "f1",
        ),
    ],
)
def test_the_metric_of_an_older_run_is_told_from_its_values(scores: dict[str, float], metric: str) -> None:
    assert with_current_names(scores)["metric"] == metric


def test_lines_of_an_older_comparison_get_the_names_of_today() -> None:
    line = {"dev_accuracy": 0.9, "test_accuracy": 0.8, "train_flops": 7, "seconds": 3.0, "bytes": 5}
    assert with_current_names(line) == {
        "dev_accuracy": 0.9,
        "test_accuracy": 0.8,
        "dev_metric": 0.9,
        "test_metric": 0.8,
        "metric": "accuracy",
        "total_flops": 7,
        "total_seconds": 3.0,
        "bytes": 5,
    }


def test_names_of_today_stay_as_they_are() -> None:
    metrics = {"metric": "f1", "train_flops": 7, "test_metric": 0.5, "test_accuracy": 0.5}
    assert with_current_names(metrics) == metrics


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"layers": "2, 4"}, "layers"),
        ({"layers": [2, "4"]}, "layers.1"),
        ({"evaluations": 1.5}, "evaluations"),
        ({"search_flops": None}, "search_flops"),
        ({"scores": {"two": 0.5}}, "scores.two"),
        ({"winner": 3}, "winner"),
    ],
)
def test_a_wrong_key_or_type_is_named_with_the_file(
    change: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "search.json"
    path.write_text(json.dumps({**SEARCH.as_json(), **change}), encoding="utf-8")
    with pytest.raises(InputError, match=f"{re.escape(str(path))}.*{re.escape(problem)}"):
        SearchResult.read(path)


@pytest.mark.parametrize("key", ["layers", "dev_metric", "total_flops", "versions"])
def test_a_missing_key_is_named_with_the_file(key: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({k: v for k, v in METRICS.as_json().items() if k != key}), encoding="utf-8")
    with pytest.raises(InputError, match=f"{re.escape(str(path))}.*{key}"):
        RunMetrics.read(path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_a_file_that_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(str(path))):
        RunMetrics.read(path)


def test_reading_a_result_loads_no_torch() -> None:
    code = "import sys, experiments.run.results; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
