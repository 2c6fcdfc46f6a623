"""The same seed gives the same numbers: in another process, over a kill, and with candidates on Ray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from experiments import pipeline
from experiments.cluster.connect import cluster
from experiments.config import load_config
from experiments.run.folder import RunFolder
from tests.support.ray_processes import private_ray
from tests.support.runs import tiny_config
from tests.support.searches import TIMES
from tests.support.tiny import tiny_tree

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_report")]

# kills itself as the first epoch of the retraining ends, with another order of sets than this process
KILLED = """
import os, signal, sys
from pathlib import Path
from experiments import pipeline
from experiments.config import load_config

def on_epoch(stage, epoch, dev):
    if stage == "train":
        os.kill(os.getpid(), signal.SIGKILL)

pipeline.run(load_config(Path(sys.argv[1])), Path(sys.argv[2]), on_epoch)
"""
UNLIKE = (*TIMES, "train_seconds", "total_seconds", "date", "command")


def numbers(folder: Path) -> dict[str, Any]:
    """All that a run found, without its times, and the very bytes of its prompt."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    kept = {name: value for name, value in metrics.items() if name not in UNLIKE}
    return {**kept, "prompt": (folder / "model" / "prompt.safetensors").read_bytes()}


def killed_elsewhere(config: Path, folder: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(config), str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_another_process_and_a_killed_one_end_with_the_same_bits(tmp_path: Path) -> None:
    tree = tiny_tree(tmp_path, search={"epochs": 2}, training={"epochs": 2})
    # more classes than two, whose order a set would not keep
    rows = [line.rpartition(",") for line in (tmp_path / "data.csv").read_text().splitlines()[1:]]
    labels = ("delivery", "payment", "01", "1")
    lines = [f"{text},{labels[2 * (label == 'bad') + row % 2]}" for row, (text, _, label) in enumerate(rows)]
    (tmp_path / "data.csv").write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    tree["task"] = "custom"
    config = tmp_path / "config.yml"
    config.write_text(yaml.safe_dump(tree), encoding="utf-8")

    pipeline.run(load_config(config), tmp_path / "first")
    killed_elsewhere(config, tmp_path / "second")
    pipeline.run(load_config(config), tmp_path / "second")
    assert numbers(tmp_path / "first") == numbers(tmp_path / "second")


@pytest.fixture
def one_cluster() -> Iterator[None]:
    with private_ray(), cluster():
        yield


@pytest.mark.ray
@pytest.mark.usefixtures("one_cluster")
def test_a_run_with_candidates_on_ray_ends_with_the_same_bits(tmp_path: Path) -> None:
    search = {"strategy": "random", "k": 2, "evaluations": 3}
    config = tiny_config(tmp_path, search=search, training={"epochs": 1})
    pipeline.run(config, tmp_path / "here")
    engine = {"kind": "ray", "retries": 0}
    pipeline.run(
        tiny_config(tmp_path, search={**search, "engine": engine}, training={"epochs": 1}), tmp_path / "there"
    )
    assert numbers(tmp_path / "there") == numbers(tmp_path / "here")


def test_metrics_say_the_threads_and_another_number_of_them_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny_config(
        tmp_path, search={"strategy": "manual", "manual_layers": [1]}, training={"epochs": 1}
    )
    place = RunFolder(tmp_path / "run")
    before = torch.get_num_threads()
    try:
        pipeline.train(config, place.path)
        assert "torch threads" not in caplog.text
        pipeline.run(config.model_copy(update={"threads": 2}), place.path)
    finally:
        torch.set_num_threads(before)
    (line,) = [message for message in caplog.messages if "torch threads" in message]
    assert line.startswith(f"the run in '{place.path}' began with 1 torch threads and goes on with 2: ")
    assert "set threads to 1 for the same ones" in line
    assert json.loads(place.metrics.read_text(encoding="utf-8"))["machine"]["threads"] == 2
