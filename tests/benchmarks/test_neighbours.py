"""Prompts from each start, read before and after training."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import record
from benchmarks.neighbours import STARTS, measure_neighbours
from spt.errors import InputError
from tests.support.tiny import tiny_tree

INPUT = {"strategy": "manual", "manual_layers": "input"}


def config(folder: Path, **search: Any) -> Path:
    tree = tiny_tree(folder, prompt={"generator": "free", "length": 4}, search={**INPUT, **search})
    path = folder / "run.yml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


@pytest.mark.slow
def test_vectors_that_start_at_words_are_read_as_those_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    told: list[str] = []
    path = measure_neighbours(config(tmp_path), {"training.epochs": 1}, tmp_path / "runs", told.append)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert len(told) == len(STARTS)
    assert [(r["init"], r["position"]) for r in content["records"]] == [
        (start, position) for start in STARTS for position in range(4)
    ]
    labels = [next(iter(r["before"].items())) for r in content["records"] if r["init"] == "labels"]
    assert labels[:2] == [("terrible", 1.0), ("great", 1.0)]
    found = content["summary"]
    assert found["random"]["cosine_before"] < 0.9
    for start in ("vocabulary", "labels"):
        assert found[start]["cosine_before"] == pytest.approx(1, abs=1e-3)
        assert found[start]["cosine_after"] < 1
    for record_of in content["records"]:
        assert record_of["after"] != record_of["before"]
        assert len(record_of["control"]) == 5
    assert 0 <= found["random"]["same_word"] <= 1 and 0 <= found["random"]["test_accuracy"] <= 1
    assert content["command"].endswith("run.yml training.epochs=1")


def test_a_prompt_above_the_input_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manual_layers in .* is \(2,\), but must be 'input'"):
        measure_neighbours(config(tmp_path, manual_layers=[2]), folder=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
