"""How far a run's answers can be trusted: calibration before and after, and accuracy where it is sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from spt.answers.calibration import CalibrationScores, calibration_scores
from spt.answers.options import AnswerRule
from spt.answers.selective import AnsweredRows, answered, selective_accuracies

# probabilities [N, C] and labels, [N], or [N, C] where a row may have several
RowProbabilities = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class SplitAnswers:
    """Hold the scores of one split's probabilities.

    Attributes:
        uncalibrated: at temperature 1.
        calibrated: at the prompt's temperature.
        selective_accuracy: of the surest rows, by their share; of none where a row may have several labels.
        answered: at the prompt's threshold; None where it has none.
    """

    uncalibrated: CalibrationScores
    calibrated: CalibrationScores
    selective_accuracy: Mapping[str, float]
    answered: AnsweredRows | None

    @classmethod
    def of(cls, rule: AnswerRule, probabilities: NDArray[Any], labels: NDArray[Any]) -> SplitAnswers:
        """Score probabilities at temperature 1, [N, C], by the labels, [N] or [N, C]."""
        calibrated, threshold = rule.calibrated(probabilities), rule.threshold
        several = rule.thresholds is not None
        return cls(
            uncalibrated=calibration_scores(probabilities, labels),
            calibrated=calibration_scores(calibrated, labels),
            selective_accuracy={} if several else selective_accuracies(calibrated, labels),
            answered=None if threshold is None else answered(calibrated, labels, threshold),
        )


@dataclass(frozen=True)
class AnswerMetrics:
    """Hold what metrics.json has under `answers`.

    Attributes:
        temperature: of the saved prompt, fitted on dev; 1 where it was not asked for.
        threshold: below which the saved prompt does not answer; None where it always does.
        dev: scores of dev, on which both were chosen.
        test: scores of test.
    """

    temperature: float
    threshold: float | None
    dev: SplitAnswers
    test: SplitAnswers

    @classmethod
    def of(cls, rule: AnswerRule, dev: RowProbabilities, test: RowProbabilities) -> AnswerMetrics:
        """Score the probabilities at temperature 1 and the labels of dev and test."""
        return cls(
            rule.temperature, rule.threshold, SplitAnswers.of(rule, *dev), SplitAnswers.of(rule, *test)
        )


def answer_lines(answers: AnswerMetrics) -> dict[str, str]:
    """Write the calibration, and what the threshold answers, as name -> value."""
    test = answers.test
    before, after = test.uncalibrated.ece, test.calibrated.ece
    lines = {"test calibration error": f"{100 * after:.1f} %"}
    if answers.temperature != 1:
        lines["test calibration error"] += (
            f" at temperature {answers.temperature:.2f}, {100 * before:.1f} % before"
        )
    if test.answered is not None and answers.threshold is not None:
        accuracy = (
            "" if test.answered.accuracy is None else f", {100 * test.answered.accuracy:.1f} % of them right"
        )
        lines["test texts answered"] = (
            f"{100 * test.answered.coverage:.1f} % (probability at least {answers.threshold:.2f}){accuracy}"
        )
    return lines


def threshold_signs(answers: AnswerMetrics, wanted: float | None) -> list[str]:
    """Return what is wrong with a threshold: no part of dev is answered as accurately as it was asked for.

    Args:
        answers: of the run.
        wanted: accuracy on dev that was asked for, if any.
    """
    reached = answers.dev.answered
    if wanted is None or reached is None or reached.accuracy is None or reached.accuracy >= wanted:
        return []
    return [
        f"no threshold answers dev with the accuracy {wanted:g} of answers.min_accuracy: the most accurate "
        f"one, {answers.threshold:.2f}, answers {reached.coverage:.1%} of dev and is right in "
        f"{reached.accuracy:.1%} of that; lower answers.min_accuracy, or set answers.coverage"
    ]
