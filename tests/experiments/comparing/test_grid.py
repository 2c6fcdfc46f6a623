"""Many runs in processes: done ones are read back, failed ones reported, dead workers survived."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from experiments.comparing.grid import RunOutcome, is_finished, read_result, run_config, run_grid, run_jobs
from spt.errors import InputError
from tests.support.runs import tiny_config
from tests.support.workers import report_lock_of_bars, report_threads

MANUAL = {"strategy": "manual", "manual_layers": [1]}

pytestmark = pytest.mark.slow


def test_runs_are_done_in_processes_and_read_back(tmp_path: Path) -> None:
    configs = {f"seed{seed}": tiny_config(tmp_path, search=MANUAL, seed=seed) for seed in (0, 1)}
    told: list[str] = []
    found = run_grid(configs, tmp_path / "runs", 2, lambda name, _: told.append(name))
    assert sorted(told) == list(found) == ["seed0", "seed1"]
    for name, outcome in found.items():
        written = json.loads((tmp_path / "runs" / name / "metrics.json").read_text(encoding="utf-8"))
        assert outcome == RunOutcome(written)
    # neither data nor backbone is needed to read results back
    (tmp_path / "data.csv").unlink()
    assert run_grid(configs, tmp_path / "runs", 1) == found


def test_what_is_finished_is_of_the_same_config(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, search=MANUAL)
    folder = tmp_path / "run"
    folder.mkdir()
    assert not is_finished(config, folder)
    (folder / "config.yml").write_text(
        yaml.safe_dump({"run": config.model_dump(mode="json")}), encoding="utf-8"
    )
    assert not is_finished(config, folder)
    (folder / "metrics.json").write_text('{"test_accuracy": 0.5}', encoding="utf-8")
    assert is_finished(config, folder)
    assert is_finished(config.model_copy(update={"name": "other", "threads": 3}), folder)
    assert not is_finished(config.model_copy(update={"seed": 9}), folder)
    assert not is_finished(config, folder, search_only=True)
    with pytest.raises(InputError, match=r"metrics\.json' is not what"):
        read_result(folder)


def test_a_failed_training_is_reported_and_the_rest_runs(tmp_path: Path) -> None:
    broken = tiny_config(tmp_path, search=MANUAL, training={"learning_rate": 1e30})
    configs = {"broken": broken, "whole": tiny_config(tmp_path, search=MANUAL)}
    found = run_grid(configs, tmp_path / "runs", 1)
    assert found["broken"].metrics is None and "The loss is nan" in str(found["broken"].failure)
    assert found["whole"].metrics is not None


def test_bad_input_is_raised(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, search={"strategy": "manual", "manual_layers": [9]})
    with pytest.raises(InputError, match="not among 0 to 3"):
        run_config(config, tmp_path / "run")


@pytest.mark.parametrize(("omp", "threads"), [("", 2), ("1", 1)])
def test_a_worker_has_its_part_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, omp: str, threads: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", omp)
    monkeypatch.setattr("spt.process.cores.cores", lambda: 4)
    outcomes = run_jobs({"a": report_threads}, tmp_path, workers=2)
    # torch takes no more threads than there are cores
    computing = min(threads, os.cpu_count() or 1)
    assert outcomes["a"].metrics == {"torch": computing, "tokenizers": str(threads)}


def test_no_bar_leaves_a_semaphore_where_a_worker_is_ended(tmp_path: Path) -> None:
    outcomes = run_jobs({"a": report_lock_of_bars}, tmp_path, workers=1)
    # one of processes would be a TqdmDefaultWriteLock
    assert outcomes["a"].metrics == {"lock": "RLock"}


KILLED = """
import os, signal, sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from experiments.comparing.grid import run_grid
from tests.support.runs import tiny_config
from tests.support.workers import report_threads

def run(config, folder, on_epoch=None):
    marker = folder.with_suffix(".marker")
    folder.parent.mkdir(parents=True, exist_ok=True)
    deaths = len(marker.read_text()) if marker.exists() else 0
    if deaths < (9 if config.seed else 1):
        marker.write_text("x" * (deaths + 1))
        os.kill(os.getpid(), signal.SIGKILL)
    return SimpleNamespace(as_json=lambda: {"seed": config.seed})

# in the place of the whole one, which takes seconds to load
pipeline = sys.modules["experiments.pipeline"] = ModuleType("experiments.pipeline")
pipeline.run = pipeline.search = run
if __name__ == "__main__":
    home = Path(sys.argv[1])
    configs = {f"seed{seed}": tiny_config(home, seed=seed) for seed in (0, 1)}
    print({name: str(o) for name, o in run_grid(configs, home / "runs", 1).items()})
"""


def test_a_run_whose_process_dies_is_tried_again_then_failed(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "failure='its process died 2 times'" in done.stdout
    assert "{'seed': 0}" in done.stdout
