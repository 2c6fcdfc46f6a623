"""Where answers are wrong: counts against scikit-learn's, the surest mistakes first, texts kept short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from spt.answers.error_analysis import LONGEST_TEXT, MOST_MISTAKES, ErrorAnalysis, confidence_bins
from spt.answers.options import AnswerRule
from spt.errors import InputError
from spt.tasks import Task, get_task

NAMES = ("a", "b", "c", "d")


def task(several: bool = False) -> Task:
    base = get_task("custom").model_copy(update={"labels": NAMES})
    return base.model_copy(update={"multi_label": True}) if several else base


def texts(row: int) -> tuple[str, ...]:
    return (f"text {row}", "p" * 1000)


@pytest.fixture
def analysis() -> ErrorAnalysis:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    chances = generator.dirichlet([0.4, 0.4, 0.4, 1e-9], 200)
    return ErrorAnalysis.of("test", task(), AnswerRule(temperature=2.0), chances, labels, texts)


def test_counts_and_scores_are_those_of_scikit_learn(analysis: ErrorAnalysis) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    answers = generator.dirichlet([0.4, 0.4, 0.4, 1e-9], 200).argmax(-1)
    # the fourth class has no row and no answer
    assert [one.label for one in analysis.classes] == ["a", "b", "c"]
    assert analysis.confusion == tuple(map(tuple, confusion_matrix(labels, answers).tolist()))
    columns = precision_recall_fscore_support(labels, answers)
    assert [one.recall for one in analysis.classes] == pytest.approx(columns[1].tolist())
    assert analysis.mistakes == (labels != answers).sum()


def test_the_surest_mistakes_come_first_and_texts_are_cut(analysis: ErrorAnalysis) -> None:
    mistakes = analysis.surest_mistakes
    assert len(mistakes) == MOST_MISTAKES
    sureness = [mistake.probability for mistake in mistakes]
    assert sureness == sorted(sureness, reverse=True)
    for mistake in mistakes:
        assert mistake.labels != mistake.answers
        assert mistake.texts[0] == f"text {mistake.row}" and len(mistake.texts[1]) == LONGEST_TEXT


def test_bins_hold_every_row_once_at_the_rules_temperature(analysis: ErrorAnalysis) -> None:
    assert sum(one.rows for one in analysis.bins) == analysis.rows == 200
    right = sum(one.rows * one.accuracy for one in analysis.bins)
    assert right == pytest.approx(200 - analysis.mistakes)
    highest = max(mistake.probability for mistake in analysis.surest_mistakes)
    assert highest <= analysis.bins[-1].confidence + 0.1
    (only,) = confidence_bins(np.array([1.0, 1.0]), np.array([True, False]))
    assert (only.rows, only.confidence, only.accuracy) == (2, 1.0, 0.5)


def test_sets_of_labels_have_no_matrix_and_are_ranked_by_their_surest_wrong_decision() -> None:
    labels = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]])
    chances = np.array([[0.9, 0.1, 0.1, 0.1], [0.1, 0.9, 0.4, 0.1], [0.95, 0.1, 0.1, 0.8]])
    found = ErrorAnalysis.of("test", task(several=True), AnswerRule(), chances, labels, texts)
    assert found.confusion is None and found.bins == ()
    assert [(one.row, one.labels, one.answers) for one in found.surest_mistakes] == [
        (2, ("d",), ("a", "d")),
        (1, ("b", "c"), ("b",)),
    ]
    assert [one.probability for one in found.surest_mistakes] == pytest.approx([0.95, 0.6])


def test_what_is_written_is_read_back_and_damage_is_refused(analysis: ErrorAnalysis, tmp_path: Path) -> None:
    path = tmp_path / "error_analysis.json"
    analysis.write(path)
    assert ErrorAnalysis.read(path) == analysis
    path.write_text('{"split": 3}', encoding="utf-8")
    with pytest.raises(InputError, match="Delete it"):
        ErrorAnalysis.read(path)
