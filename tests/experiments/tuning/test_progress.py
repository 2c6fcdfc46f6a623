"""Where a study's trials are, told from its journal."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import optuna
import pytest
import yaml
from filelock import FileLock
from optuna.trial import TrialState
from rich.console import Console

from experiments.live.run_progress import RunProgress
from experiments.top import top
from experiments.tuning.config import TuneConfig
from experiments.tuning.progress import StudyLook, StudyView
from experiments.tuning.searcher import ATTEMPTS, BEGUN, SESSIONS, note_failure
from experiments.tuning.session import summary
from experiments.tuning.study import open_study
from experiments.tuning.trial import METRICS, PROGRESS, RESUMED_AT

PARAMETER = "search.consistency"
AT = RunProgress("running", "search", epoch=2, epochs=4, loss=0.5, layers=(1, 3), gates={1: 0.6, 3: 0.7})


@pytest.fixture
def config() -> TuneConfig:
    space = {PARAMETER: {"_type": "uniform", "_value": [0.0, 1.0]}}
    run = {"search": {"strategy": "spt_darts"}}
    return TuneConfig.model_validate({"name": "study", "trials": 7, "searchSpace": space, "run": run})


@pytest.fixture
def study(tmp_path: Path, config: TuneConfig) -> optuna.Study:
    """In its second session: a complete trial, one of each other end, a resumed, a running and a left one."""
    text = yaml.safe_dump(config.model_dump(mode="json", by_alias=True))
    (tmp_path / "tune.yml").write_text(text, encoding="utf-8")
    study = open_study("study", ["maximize"], "random", 0, tmp_path / "optuna.journal")
    study.set_user_attr(SESSIONS, 2)
    for sessions in ([1], [1], [1], [1, 2], [2], [1]):
        trial = study.ask(config.distributions)
        trial.set_user_attr(BEGUN, sessions)
        trial.set_user_attr(ATTEMPTS, [{RESUMED_AT: 0}])
        trial.set_user_attr(PROGRESS, json.dumps(asdict(AT)))
        if trial.number == 0:
            trial.set_user_attr(METRICS, {"dev_metric": 0.9, "test_metric": 0.8})
            study.tell(trial, 0.9)
        elif trial.number == 1:
            trial.report(0.4, 1)
            study.tell(trial, state=TrialState.PRUNED)
        elif trial.number == 2:
            note_failure(study, 2, "the loss is nan")
            study.tell(trial, state=TrialState.FAIL)
    return study


def test_each_trial_has_its_state_also_those_of_earlier_sessions(
    study: optuna.Study, config: TuneConfig, tmp_path: Path
) -> None:
    view = StudyView(tmp_path, config, held=True)
    view.look()
    states = ["finished", "stopped early", "failed", "resumed", "running", "queued", "queued"]
    assert [row.state for row in view.rows] == states
    assert (view.rows[0].dev, view.rows[0].test, view.rows[1].dev) == (0.9, 0.8, 0.4)
    assert view.rows[2].failure == "the loss is nan"
    assert (view.rows[3].at, view.rows[3].layers) == ("search epoch 2 of 4", "1, 3")
    assert view.rows[4].values == {PARAMETER: f"{study.trials[4].params[PARAMETER]:.3g}"}
    assert view.caption.startswith(
        "1 of 7 finished, 1 running, 1 resumed, 1 failed, 1 stopped early, 2 queued"
    )
    assert "left" in view.caption
    assert len(view.news()) == 5 and view.news() == []
    study.tell(4, 0.7)
    view.look()
    assert [line.split("  ")[0] for line in view.news()] == ["trial 4: finished"]


def test_a_trial_whose_worker_died_is_resumed(
    study: optuna.Study, config: TuneConfig, tmp_path: Path
) -> None:
    trial = optuna.Trial(study, study.trials[4]._trial_id)
    trial.set_user_attr(ATTEMPTS, [{RESUMED_AT: 0}, {RESUMED_AT: 2}])
    view = StudyView(tmp_path, config, held=True)
    view.look()
    assert view.rows[4].state == "resumed"


@pytest.mark.usefixtures("study")
def test_top_shows_a_study_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.iterdir()]}
    top(tmp_path, once=False, console=Console(width=140))
    shown = capsys.readouterr().out
    assert "stopped: 1 of 7 finished" in shown and "the loss is nan" in shown
    assert {path.name: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.iterdir()]} == before
    with FileLock(tmp_path / ".lock"):
        look = StudyLook(tmp_path)
        look.look()
        assert not look.ended and look.caption.startswith("1 of 7")


def test_before_the_journal_all_trials_are_queued(config: TuneConfig, tmp_path: Path) -> None:
    view = StudyView(tmp_path, config, held=True)
    view.look()
    assert [row.state for row in view.rows] == ["queued"] * 7
    assert not (tmp_path / "optuna.journal").exists()


def test_the_end_tells_the_best_values_the_test_score_the_time_and_the_page(
    study: optuna.Study, config: TuneConfig, tmp_path: Path
) -> None:
    best, counted, *places = summary(config, tmp_path, study, 75).splitlines()
    value = f"{study.trials[0].params[PARAMETER]:.3g}"
    assert best == f"best: trial 0, dev_metric 0.9, test accuracy 80.0 %, with {PARAMETER}={value}"
    assert counted == "6 trials (1 complete, 1 stopped early, 1 failed, 3 not ended), 1 min 15 s"
    assert places == [f"best config: {tmp_path / 'best.yml'}", f"report: {tmp_path / 'report.html'}"]
