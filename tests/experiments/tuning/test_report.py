"""The page of a study: its answer, every trial, what failed, and pictures of the same parts as all pages."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution

from experiments.tuning.config import TuneConfig
from experiments.tuning.report import write_study_report
from experiments.tuning.session import best_trials

RATES = (0.001, 0.003, 0.01, 0.03, 0.1)


def config(*objectives: str) -> TuneConfig:
    return TuneConfig.model_validate(
        {
            "name": "my-study",
            "trials": 6,
            "asha": None,
            "objectives": list(objectives),
            "run": {"task": "trec"},
            "searchSpace": {
                "training.learning_rate": {"_type": "loguniform", "_value": [0.0001, 0.1]},
                "prompt.generator": {"_type": "choice", "_value": ["pooled", "naive"]},
            },
        }
    )


def study(directions: list[str]) -> optuna.Study:
    """Five complete trials, of which the third is best in the first objective, and one that failed."""
    made = optuna.create_study(directions=directions)
    space = {
        "training.learning_rate": FloatDistribution(0.0001, 0.1, log=True),
        "prompt.generator": CategoricalDistribution(["pooled", "naive"]),
    }
    for number, rate in enumerate(RATES):
        values = [0.9 - abs(number - 2) / 50, 1000.0 * (number + 1)]
        params = {"training.learning_rate": rate, "prompt.generator": ("pooled", "naive")[number % 2]}
        trial = optuna.trial.create_trial(
            params=params,
            distributions=space,
            values=values[: len(directions)],
            user_attrs={"metrics": {"test_metric": 0.871}},
        )
        made.add_trial(trial)
    made.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
    made.set_user_attr("failure of trial 5", "The loss is <nan>.")
    return made


def page(folder: Path, directions: list[str], *objectives: str) -> str:
    written = study(directions)
    path = folder / "report.html"
    write_study_report(path, written, config(*objectives), best_trials(written))
    return path.read_text(encoding="utf-8")


def test_a_trial_leads_to_the_report_of_its_run_where_there_is_one(tmp_path: Path) -> None:
    written = study(["maximize"])
    run = tmp_path / "trials" / "session 0" / "checkpoint_000003"
    run.mkdir(parents=True)
    (run / "report.html").write_text("", encoding="utf-8")
    trial = optuna.trial.create_trial(value=0.95, user_attrs={"checkpoint": str(run)})
    written.add_trial(trial)
    gone = optuna.trial.create_trial(value=0.1, user_attrs={"checkpoint": "s3://bucket/session_0/checkpoint"})
    written.add_trial(gone)
    path = tmp_path / "report.html"
    write_study_report(path, written, config("dev_metric"), best_trials(written))
    html = path.read_text(encoding="utf-8")
    # among the best, and among all
    assert html.count('href="trials/session%200/checkpoint_000003/report.html"') == 2
    assert html.count("report.html") == 2


def answer_of(html: str) -> str:
    return unescape(re.findall(r'<p class="answer">(.*?)</p>', html)[0])


def test_one_objective_has_a_best_trial_beside_the_middle_one(tmp_path: Path) -> None:
    html = page(tmp_path, ["maximize"], "dev_metric")
    assert answer_of(html) == (
        "Trial 2 is the best of 5 that are complete, with dev_metric 0.9; the middle one of them has 0.88."
    )
    assert "87.1 %" in html and "no part of the choice" in html
    for shown in ("The loss is &lt;nan&gt;.", "failed", "training.learning_rate", "trial 2: dev_metric 0.9"):
        assert shown in html
    names = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert {
        "history-dev_metric",
        "importance-dev_metric",
        "option-training-learning_rate",
        "option-prompt-generator",
    } == names
    assert len(html) < 300_000


def test_two_objectives_have_a_pareto_set(tmp_path: Path) -> None:
    html = page(tmp_path, ["maximize", "minimize"], "dev_metric", "tunable_parameters")
    answer = answer_of(html)
    assert answer.startswith("3 of 5 complete trials are the Pareto set")
    assert "The best of them in dev_metric is trial 2, with dev_metric 0.9." in answer
    assert (tmp_path / "figures" / "pareto.svg").is_file()


def test_a_study_without_a_complete_trial_has_a_page(tmp_path: Path) -> None:
    empty = optuna.create_study(direction="maximize")
    empty.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
    write_study_report(tmp_path / "report.html", empty, config("dev_metric"), [])
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No trial is complete." in html and "<svg" not in html
