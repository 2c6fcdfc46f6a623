"""The rule that a saved prompt keeps: its thresholds are of the probabilities that it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spt.answers.decisions import best_thresholds
from spt.answers.options import AnswerRule, AnswersConfig
from spt.answers.selective import answered, threshold_for_accuracy, threshold_for_coverage
from spt.tasks import get_task

ONE = get_task("custom", labels=["a", "b"])
SEVERAL = get_task("custom", labels=["a", "b"], multi_label=True)
# much too sure: right in two thirds of the rows, with probabilities near 1
SURE = np.linspace(0.95, 0.999, 90)
CHANCES = np.stack([SURE, 1 - SURE], 1)
LABELS = np.where(np.arange(90) % 3 == 0, 1, 0)


def flags(labels: NDArray[Any]) -> NDArray[Any]:
    return np.stack([1 - labels, labels], 1)


def test_thresholds_of_several_labels_are_of_calibrated_probabilities() -> None:
    rule = AnswerRule.fitted(AnswersConfig(), SEVERAL, CHANCES, flags(LABELS))
    assert rule.temperature > 1.5
    assert rule.thresholds == best_thresholds(flags(LABELS), rule.calibrated(CHANCES))
    assert rule.thresholds != pytest.approx(best_thresholds(flags(LABELS), CHANCES))


@pytest.mark.parametrize(
    ("config", "choose", "share"),
    [
        (AnswersConfig(min_accuracy=0.7), threshold_for_accuracy, 0.7),
        (AnswersConfig(coverage=0.5), threshold_for_coverage, 0.5),
    ],
)
def test_a_threshold_is_of_calibrated_probabilities(config: AnswersConfig, choose: Any, share: float) -> None:
    rule = AnswerRule.fitted(config, ONE, CHANCES, LABELS)
    assert rule.temperature > 1.5
    assert rule.threshold == choose(rule.calibrated(CHANCES), LABELS, share)
    # of all rows, where it was chosen by probabilities that are surer than those it is held against
    assert answered(rule.calibrated(CHANCES), LABELS, rule.threshold or 0).coverage > 0


def test_what_is_not_asked_for_is_not_fitted() -> None:
    rule = AnswerRule.fitted(AnswersConfig(calibrate=False), ONE, CHANCES, LABELS)
    assert rule == AnswerRule(temperature=1.0, threshold=None, thresholds=None)
