"""Runs that are refused or fail, and what they leave untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from experiments import pipeline
from experiments.pipeline import run
from experiments.run.folder import RunFolder
from experiments.run.training import load_workbench
from spt.errors import InputError, TrialFailed
from tests.support.quick_runs import quick_config
from tests.support.runs import tiny_config

pytestmark = pytest.mark.usefixtures("no_report")


def test_a_run_goes_on_with_another_engine(home: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.claimed(quick_config(home, search={"strategy": "random"})):
        pass
    folder.check(quick_config(home, search={"strategy": "random", "engine": {"kind": "ray", "cpus": 2}}))
    with pytest.raises(InputError, match=r"another config \(different: search\.evaluations\)"):
        folder.check(quick_config(home, search={"strategy": "random", "evaluations": 3}))


@pytest.mark.parametrize("content", ["", "name: my own\n", "a: [1\n", "- 1\n"])
def test_a_foreign_config_file_is_refused_and_kept(content: str, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"a config\.yml that no run wrote\. Choose another folder"):
        run(quick_config(home), tmp_path)
    assert path.read_text(encoding="utf-8") == content


def test_a_file_in_the_folders_place_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be made"):
        run(quick_config(home), tmp_path / "run")


def test_a_loss_that_is_not_a_number_fails_the_run(home: Path, tmp_path: Path) -> None:
    manual = {"strategy": "manual", "manual_layers": [1]}
    with pytest.raises(TrialFailed, match=r"loss is (nan|inf)"):
        run(quick_config(home, search=manual, training={"learning_rate": 1e30}), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not (tmp_path / "run" / "model").exists()


def test_a_device_without_memory_fails_the_run_outside_of_its_training_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(pipeline, "finite_probabilities", full)
    manual = {"strategy": "manual", "manual_layers": [1]}
    with pytest.raises(TrialFailed, match="The device is out of memory"):
        run(quick_config(home, search=manual, training={"epochs": 1}), tmp_path / "run")
    assert "The device is out of memory" in (tmp_path / "run" / "failure.txt").read_text(encoding="utf-8")


def test_a_disk_that_is_too_small_is_met_before_a_run_begins(tmp_path: Path) -> None:
    for mode in ("disk", "auto"):
        small = tiny_config(tmp_path, cache=mode, cache_gb=1e-6)
        if mode == "auto":
            load_workbench(small)
            continue
        with pytest.raises(InputError, match="cache_gb"):
            run(small, tmp_path / "run")
    assert not (tmp_path / "run").exists()
