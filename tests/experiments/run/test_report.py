"""The report of a run: what it is set beside is right, and it is written anew from the run's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.pipeline import run
from experiments.run.estimates import prompt_tuning_flops
from experiments.run.training import load_workbench
from spt.answers.error_analysis import ErrorAnalysis
from tests.support.runs import tiny_config

FREE = {"generator": "free", "zero_start": False}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the data, and the folder of a run of one free prompt at the input."""
    folder = tmp_path_factory.mktemp("report")
    manual = {"strategy": "manual", "manual_layers": [0]}
    run(tiny_config(folder, search=manual, prompt=FREE), folder / "run")
    return folder


def test_the_measure_of_costs_is_what_prompt_tuning_takes(home: Path) -> None:
    metrics = json.loads((home / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["train_epochs"] == 2
    # other orders of the rows pad a little more or less
    assert metrics["total_flops"] == pytest.approx(metrics["prompt_tuning_flops"], rel=0.03)
    bench = load_workbench(tiny_config(home, search={"strategy": "manual", "manual_layers": [3]}))
    # whatever the run's own prompts are
    assert prompt_tuning_flops(bench) == metrics["prompt_tuning_flops"]


def test_the_mistakes_are_rows_of_test_with_their_texts(home: Path) -> None:
    analysis = ErrorAnalysis.read(home / "run" / "error_analysis.json")
    bench = load_workbench(tiny_config(home, search={"strategy": "manual", "manual_layers": [3]}))
    assert analysis.rows == len(bench.examples["test"]) and analysis.surest_mistakes
    for mistake in analysis.surest_mistakes:
        label = (bench.spec.task.labels or ())[bench.examples["test"].labels[mistake.row]]
        assert mistake.labels == (label,) != mistake.answers
        tokens = bench.examples["test"][mistake.row]["input_ids"]
        assert bench.tokenizer.decode(tokens, skip_special_tokens=True) == mistake.texts[0]


def test_the_command_writes_the_same_page_again(home: Path) -> None:
    page = home / "run" / "report.html"
    before = page.read_bytes()
    assert b"Nearest words" in before
    page.unlink()
    result = CliRunner().invoke(app, ["report", str(home / "run")])
    assert (result.exit_code, result.stdout.strip()) == (0, str(page))
    assert page.read_bytes() == before


def test_a_folder_without_a_finished_run_is_refused(home: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(home)])
    assert result.exit_code == 2
    assert "holds no finished run" in result.stderr
