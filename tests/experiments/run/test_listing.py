"""`spt runs`: every state, the newest first, comparisons and studies, and nothing that stops the list."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.run.folder import RunFolder
from experiments.run.listing import age, list_runs
from spt.architecture import PromptLayers
from spt.errors import InputError, TrialFailed
from tests.support.metrics import METRICS
from tests.support.runs import tiny_config


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with a run in each state, the later ones of which changed earlier."""
    folder = tmp_path / "runs"
    config = tiny_config(tmp_path)
    for name in ("stopped", "compare/searched", "trained", "finished", "failed", "damaged"):
        with RunFolder(folder / name).claimed(config):
            pass
    for name in ("compare/searched", "trained", "finished"):
        PromptLayers.of((1, 2), 4).save(RunFolder(folder / name).architecture)
    trained = RunFolder(folder / "trained")
    trained.train.mkdir()
    trained.training_result.write_text("{}", encoding="utf-8")
    METRICS.write(RunFolder(folder / "finished").metrics)
    with pytest.raises(TrialFailed), RunFolder(folder / "failed").claimed(config):
        raise TrialFailed("The loss is nan.")
    (folder / "damaged" / "config.yml").write_text("", encoding="utf-8")
    # neither a run nor a folder of runs, and one that holds the best of a study beside its trials
    (folder / "notes").mkdir()
    study = folder / "study"
    for name in ("best", "ray/trial_0"):
        with RunFolder(study / name).claimed(config):
            pass
    (study / "tune.yml").touch()
    for seconds, name in enumerate(("finished", "failed", "stopped")):
        for path in [folder / name, *(folder / name).iterdir()]:
            os.utime(path, (2e9 - seconds, 2e9 - seconds))
    return folder


def test_each_run_has_its_state_and_the_newest_is_first(runs: Path) -> None:
    listed = list_runs(runs)
    assert [run.folder for run in listed[:3]] == ["finished", "failed", "stopped"]
    assert {run.folder: run.state for run in listed} == {
        "finished": "finished",
        "failed": "failed",
        "stopped": "stopped",
        "trained": "trained",
        "compare/searched": "searched",
        "damaged": "damaged",
        "study/best": "stopped",
    }


def test_a_run_whose_folder_is_held_is_running(runs: Path, tmp_path: Path) -> None:
    with RunFolder(runs / "stopped").claimed(tiny_config(tmp_path)):
        assert {run.state for run in list_runs(runs / "stopped")} == {"running"}


def test_a_file_that_is_replaced_meanwhile_does_not_end_the_list(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.iterdir
    gone = runs / "stopped" / "progress.json.tmp"
    monkeypatch.setattr(
        Path, "iterdir", lambda path: iter([*real(path), *([gone] if path == gone.parent else [])])
    )
    before = [run.folder for run in list_runs(runs)]
    assert "stopped" in before


def test_a_second_attempt_forgets_the_failure(runs: Path, tmp_path: Path) -> None:
    with RunFolder(runs / "failed").claimed(tiny_config(tmp_path)):
        pass
    assert [run.state for run in list_runs(runs / "failed")] == ["stopped"]


def test_a_damaged_result_does_not_end_the_list(runs: Path) -> None:
    (runs / "finished" / "metrics.json").write_text("{", encoding="utf-8")
    assert {run.state for run in list_runs(runs / "finished")} == {"damaged"}


def test_the_command_shows_scores_and_failures(runs: Path) -> None:
    shown = CliRunner().invoke(app, ["runs", str(runs)])
    assert shown.exit_code == 0
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())
    finished = next(line for line in shown.stdout.splitlines() if line.startswith("finished"))
    assert finished.split()[2:] == ["custom", "spt_darts", "1", "2", *_scores(), "now"]
    listed = json.loads(CliRunner().invoke(app, ["runs", str(runs), "--json"]).stdout)
    by_folder = {run["folder"]: run for run in listed}
    assert by_folder["failed"]["failure"] == "The loss is nan."
    assert by_folder["finished"]["test_metric"] == METRICS.test_metric
    assert by_folder["damaged"]["task"] is None


def _scores() -> list[str]:
    return [f"{100 * score:.1f}" for score in (METRICS.dev_metric, METRICS.test_metric)]


def test_no_runs_and_no_folder(tmp_path: Path) -> None:
    assert "There are no runs" in CliRunner().invoke(app, ["runs", str(tmp_path)]).stdout
    with pytest.raises(InputError, match="no folder"):
        list_runs(tmp_path / "none")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "now"), (59, "59 s"), (61, "1 min"), (7300, "2 h"), (200_000, "2 d")]
)
def test_ages_are_in_their_largest_unit(seconds: float, text: str) -> None:
    assert age(seconds) == text
