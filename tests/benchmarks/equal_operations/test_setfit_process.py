"""SetFit in a process of its own: what it is asked, and what becomes of its answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.equal_operations import setfit_process
from benchmarks.equal_operations.figures import OverBudget
from benchmarks.equal_operations.setfit_process import train_setfit
from spt.errors import InputError
from tests.support.runs import tiny_config

ANSWER = {
    "dev_accuracy": 0.9,
    "test_accuracy": 0.8,
    "tunable_parameters": 12,
    "train_flops": 34,
    "seconds": 5.5,
    "steps": 7,
    "shortened": True,
    "versions": {"setfit": "1.2.0"},
}


def worker(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> Path:
    """A worker that keeps its question, and answers with a line behind others."""
    path = folder / "worker.py"
    path.write_text(
        "import pathlib, sys\n"
        f"pathlib.Path({str(folder / 'question.json')!r}).write_text(sys.stdin.read())\n"
        f"print('of a library')\n{answer}\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(setfit_process, "WORKER", path)
    return Path(sys.executable)


def test_it_gets_the_rows_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config(tmp_path, data={"shots_per_class": 4, "dev_size": None}, seed=3)
    python = worker(tmp_path, monkeypatch, f"print({json.dumps(json.dumps(ANSWER))})")
    figures = train_setfit(config, python, 1e12)
    assert (figures.test_accuracy, figures.steps, figures.epochs) == (0.8, 7, None)
    assert figures.versions == {"setfit": "1.2.0"}
    question = json.loads((tmp_path / "question.json").read_text())
    assert question.keys() == {"folder", "max_length", "seed", "budget", "train", "dev", "test"}
    assert (question["seed"], question["budget"], question["max_length"]) == (3, 1e12, 32)
    assert Path(question["folder"]) == tmp_path / "backbone"
    assert {label: question["train"]["labels"].count(label) for label in (0, 1)} == {0: 4, 1: 4}
    assert len(question["dev"]["texts"]) == len(question["dev"]["labels"]) == 8


def test_a_budget_that_holds_no_step_gives_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json.dumps(json.dumps({"over_budget": "A step takes 2."}))
    python = worker(tmp_path, monkeypatch, f"print({answer})")
    with pytest.raises(OverBudget, match="A step takes 2"):
        train_setfit(tiny_config(tmp_path), python, 1.0)


@pytest.mark.parametrize("code", ["raise ModuleNotFoundError('setfit')", "import sys; sys.exit(3)"])
def test_an_environment_without_it_is_named(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = worker(tmp_path, monkeypatch, code)
    with pytest.raises(InputError, match=r"does not train SetFit: .*--setfit-python"):
        train_setfit(tiny_config(tmp_path), python, 1e12)
