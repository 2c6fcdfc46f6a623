"""What a run says of its answers: calibration before and after, thresholds, and where they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.pipeline import run
from experiments.run.answers import AnswerMetrics, SplitAnswers, answer_lines, threshold_signs
from experiments.run.results import RunMetrics
from experiments.run.summary import summary
from experiments.run.training import load_workbench
from spt.answers.calibration import CalibrationScores, calibration_scores, tempered
from spt.answers.selective import AnsweredRows, answered
from spt.errors import InputError
from spt.evaluation import probabilities
from spt.serving.classifier import PromptClassifier
from tests.support.runs import tiny_config

MANUAL: dict[str, Any] = {"search": {"strategy": "manual", "manual_layers": [1]}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers")


def ran(home: Path, name: str, **answers: Any) -> tuple[Path, RunMetrics]:
    return home / name, run(tiny_config(home, **MANUAL, answers=answers), home / name)


def test_a_run_calibrates_on_dev_and_reports_both_splits_before_and_after(home: Path) -> None:
    folder, metrics = ran(home, "plain")
    answers = metrics.answers
    assert answers is not None and answers.temperature != 1
    loaded = PromptClassifier.from_pretrained(folder / "model")
    assert loaded.spec.answers.temperature == answers.temperature
    workbench = load_workbench(tiny_config(home, **MANUAL))
    for split in ("dev", "test"):
        chances, labels = probabilities(
            loaded.model, workbench.batches(split, loaded.model).loader, workbench.spec.task
        )
        scores: SplitAnswers = getattr(answers, split)
        assert scores.uncalibrated.nll == pytest.approx(calibration_scores(chances, labels).nll, abs=1e-4)
        after = calibration_scores(tempered(chances, answers.temperature), labels)
        assert scores.calibrated.nll == pytest.approx(after.nll, abs=1e-4)
    assert answers.dev.calibrated.nll < answers.dev.uncalibrated.nll
    assert summary(folder)["test calibration error"].endswith("before")
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert f">{100 * answers.test.calibrated.ece:.1f} %<" in report
    assert "Probabilities are calibrated on dev" in (folder / "model" / "README.md").read_text()


def test_without_calibration_probabilities_stay_and_so_do_the_scores(home: Path) -> None:
    (folder, metrics), (_, calibrated) = ran(home, "off", calibrate=False), ran(home, "plain")
    assert metrics.answers is not None and metrics.answers.temperature == 1
    assert metrics.answers.test.calibrated == metrics.answers.test.uncalibrated
    assert (metrics.dev_metric, metrics.test_metric) == (calibrated.dev_metric, calibrated.test_metric)
    assert "not calibrated" in (folder / "model" / "README.md").read_text()
    assert "before" not in summary(folder)["test calibration error"]


def test_a_threshold_by_coverage_is_saved_and_used(home: Path) -> None:
    folder, metrics = ran(home, "covered", coverage=0.5)
    answers = metrics.answers
    assert answers is not None and answers.threshold is not None and answers.test.answered is not None
    assert answers.dev.answered == AnsweredRows(0.5, answers.dev.selective_accuracy["0.5"])
    loaded = PromptClassifier.from_pretrained(folder / "model")
    assert loaded.spec.answers.threshold == answers.threshold
    workbench = load_workbench(tiny_config(home, **MANUAL))
    chances, labels = probabilities(
        loaded.model, workbench.batches("test", loaded.model).loader, workbench.spec.task
    )
    calibrated = loaded.spec.answers.calibrated(chances)
    assert answers.test.answered == answered(calibrated, labels, answers.threshold)
    assert "test texts answered" in summary(folder)
    assert "answered on test" in (folder / "report.html").read_text(encoding="utf-8")
    assert "or with none below" in (folder / "model" / "README.md").read_text()


def test_metrics_are_read_back_and_older_ones_have_none(home: Path) -> None:
    folder, metrics = ran(home, "covered", coverage=0.5)
    assert RunMetrics.read(folder / "metrics.json") == metrics


def test_two_ways_to_choose_the_threshold_are_refused(home: Path) -> None:
    with pytest.raises(InputError, match=r"min_accuracy = 0\.9 and coverage = 0\.5 .*set only one"):
        tiny_config(home, **MANUAL, answers={"min_accuracy": 0.9, "coverage": 0.5})


def metrics_of(coverage: float, accuracy: float) -> AnswerMetrics:
    scores = CalibrationScores(0.1, 0.2, 0.3)
    split = SplitAnswers(scores, scores, {}, AnsweredRows(coverage, accuracy))
    return AnswerMetrics(1.0, 0.8, split, split)


def test_a_threshold_that_is_not_right_enough_is_told() -> None:
    assert threshold_signs(metrics_of(0.5, 0.9), None) == []
    assert threshold_signs(metrics_of(0.5, 0.9), 0.9) == []
    (sign,) = threshold_signs(metrics_of(0.5, 0.9), 0.95)
    assert "answers 50.0% of dev and is right in 90.0% of that; lower answers.min_accuracy" in sign


def test_lines_name_the_threshold_and_what_it_leaves() -> None:
    line = answer_lines(metrics_of(0.5, 0.9))["test texts answered"]
    assert line == "50.0 % (probability at least 0.80), 90.0 % of them right"


def test_cut_texts_are_told_in_metrics_summary_and_report(home: Path) -> None:
    config = tiny_config(home, **MANUAL, data={"max_length": 6}, training={"epochs": 1})
    metrics = run(config, home / "cut")
    assert metrics.cut_texts is not None and 0 < metrics.cut_texts["train"] < 1
    (sign,) = [warning for warning in metrics.warnings if "lost their end" in warning]
    assert "set data.windows=true" in sign
    assert sign in summary(home / "cut")["warnings"]
    assert "lost their end" in (home / "cut" / "report.html").read_text(encoding="utf-8")
    windowed = run(
        tiny_config(home, **MANUAL, data={"max_length": 6, "windows": True}, training={"epochs": 1}),
        home / "windowed",
    )
    assert windowed.cut_texts == {"train": 0, "dev": 0, "test": 0}
    assert (windowed.train_size, windowed.dev_size) == (120, 20)
    assert windowed.train_steps > metrics.train_steps
    assert "read in windows" in (home / "windowed" / "model" / "README.md").read_text()


def test_windows_of_pairs_are_refused_before_anything_is_loaded(home: Path) -> None:
    with pytest.raises(InputError, match=r"data.windows is 8, but task 'rte' has two texts a row"):
        tiny_config(home, **MANUAL, task={"name": "rte"}, data={"windows": True})
