"""How probabilities become answers: the options of a run, and the rule that a saved prompt keeps."""

from __future__ import annotations

from typing import Annotated, Any

from numpy.typing import NDArray
from pydantic import Field, model_validator

from spt.answers.calibration import HIGHEST, LOWEST, fit_temperature, tempered
from spt.answers.decisions import best_thresholds
from spt.answers.selective import threshold_for_accuracy, threshold_for_coverage
from spt.sections import ConfigSection
from spt.tasks import Task


class AnswersConfig(ConfigSection):
    """Say how sure a trained prompt is, and when it does not answer."""

    calibrate: bool = Field(
        True,
        description="Fit a temperature on dev, so that probabilities agree with frequencies; answers stay.",
    )
    min_accuracy: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Save the lowest threshold whose answers on dev are right this often; texts below it are "
        "answered by none.",
    )
    coverage: float | None = Field(
        None, gt=0, le=1, description="Save the threshold that answers this share of dev, in its place."
    )

    @model_validator(mode="after")
    def _one_threshold(self) -> AnswersConfig:
        if self.min_accuracy is not None and self.coverage is not None:
            raise ValueError(
                f"min_accuracy = {self.min_accuracy} and coverage = {self.coverage} each choose the "
                "threshold; set only one of them"
            )
        return self


class AnswerRule(ConfigSection):
    """Turn a prompt's probabilities into answers."""

    temperature: float = Field(
        1.0,
        ge=LOWEST,
        le=HIGHEST,
        description="T of softmax(logits / T), or of sigmoid(logits / T) where a text may have several "
        "labels, fitted on dev.",
    )
    threshold: float | None = Field(
        None, ge=0, le=1, description="Least probability of an answer; null answers every text."
    )

    thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = Field(
        None,
        description="Least probability of each class, in class order, where a text may have several labels, "
        "chosen on dev; null where it has one.",
    )

    def misfit(self, task: Task) -> str | None:
        """Say why the rule cannot be that of a task's prompt; None where it can."""
        classes, limits = len(task.labels or ()), self.thresholds
        if limits is not None and not task.multi_label:
            return f"thresholds are of texts with several labels, but task '{task.name}' gives a text one"
        if limits is not None and len(limits) != classes:
            return f"there are {len(limits)} thresholds, but {classes} classes"
        if limits is None and task.multi_label and self.temperature != 1:
            return f"there is a temperature, but no threshold of the {classes} classes, which go together"
        return None

    @classmethod
    def fitted(
        cls, config: AnswersConfig, task: Task, probabilities: NDArray[Any], labels: NDArray[Any]
    ) -> AnswerRule:
        """Fit temperature and threshold, as far as they are asked for, on rows that were not trained on.

        Where a row may have several labels, each class gets the threshold of its best F1.

        Args:
            config: what is asked for.
            task: says whether a row has one label.
            probabilities: of the rows at temperature 1, [N, C].
            labels: class indices [N], or 1 for a row's classes and 0 for others [N, C].
        """
        temperature = fit_temperature(probabilities, labels) if config.calibrate else 1.0
        if task.multi_label:
            chances = tempered(probabilities, temperature, several=True)
            return cls(temperature=temperature, thresholds=best_thresholds(labels, chances))
        rule = cls(temperature=temperature)
        calibrated, threshold = rule.calibrated(probabilities), None
        if config.min_accuracy is not None:
            threshold = threshold_for_accuracy(calibrated, labels, config.min_accuracy)
        if config.coverage is not None:
            threshold = threshold_for_coverage(calibrated, labels, config.coverage)
        return rule.model_copy(update={"threshold": threshold})

    def calibrated(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        """Return probabilities [..., C] at the rule's temperature."""
        return tempered(probabilities, self.temperature, several=self.thresholds is not None)
