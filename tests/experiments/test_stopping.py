"""Commands that a scheduler ends: code 143, no child left, and the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from experiments.cli import app
from tests.support.searches import timeless
from tests.support.tiny import tiny_tree

START = "from experiments.cli import main; main()"


def start(*arguments: object) -> subprocess.Popen[str]:
    """Begin an spt command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", START, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], Any], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_is_asked_to_end_keeps_its_checkpoint_and_goes_on_with_the_same_numbers(
    tmp_path: Path,
) -> None:
    search = {"strategy": "manual", "manual_layers": [0]}
    tree = tiny_tree(tmp_path, search=search, training={"epochs": 12, "patience": 12})
    config, folder = tmp_path / "config.yml", tmp_path / "run"
    config.write_text(yaml.safe_dump(tree), encoding="utf-8")
    process = start("run", config, "--folder", folder, "--quiet")
    wait_for((folder / "train" / "last.ckpt").exists)
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143, said
    assert "The same command goes on from the last finished epoch." in said
    assert (folder / "train" / "last.ckpt").exists() and not (folder / "metrics.json").exists()
    results = []
    for place in (folder, tmp_path / "undisturbed"):
        assert CliRunner().invoke(app, ["run", str(config), "--folder", str(place), "--quiet"]).exit_code == 0
        metrics = json.loads((place / "metrics.json").read_text(encoding="utf-8"))
        results.append(timeless(metrics))
    assert results[0] == results[1]


@pytest.mark.slow
@pytest.mark.parametrize("signals", [signal.SIGTERM, signal.SIGKILL])
def test_workers_of_a_comparison_end_with_it_and_the_same_command_goes_on(
    signals: signal.Signals, tmp_path: Path
) -> None:
    search = {"strategy": "manual", "manual_layers": [0]}
    tree = tiny_tree(tmp_path, search=search, training={"epochs": 12, "patience": 12})
    (tmp_path / "config.yml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    experiment = {
        "searchSpace": {"seed": {"_type": "choice", "_value": [0, 1]}},
        "trialCommand": "python3 -m experiments.trial --config config.yml",
        "trialConcurrency": 1,
        "tuner": {"name": "GridSearch"},
        "trainingService": {"platform": "local"},
    }
    path, folder = tmp_path / "experiment.yml", tmp_path / "runs"
    path.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    command = ("compare", path, "--folder", folder, "--workers", 2, "--quiet")
    process = start(*command)
    wait_for(lambda: list(folder.glob("*/train/last.ckpt")))
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signals)
    again = start(*command)
    _, said = process.communicate(timeout=30)
    assert process.returncode == (143 if signals == signal.SIGTERM else -signal.SIGKILL), said
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    _, said = again.communicate(timeout=150)
    assert again.returncode == 0, said
    assert len(list(folder.glob("*/metrics.json"))) == 2
