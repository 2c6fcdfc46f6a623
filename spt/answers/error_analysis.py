"""Where a trained prompt is wrong: its answers class by class, how sure it was, and its surest mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spt.answers.calibration import bins_of
from spt.answers.class_scores import ClassScores, class_scores, occurring
from spt.answers.decisions import decide
from spt.answers.options import AnswerRule
from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json
from spt.tasks import Task

# of equal width, between 0 and 1
BINS = 10
MOST_MISTAKES = 20
# characters of a text that are kept
LONGEST_TEXT = 400
ADVICE = "Delete it: only the part of the report on mistakes comes from it."

# row of the split -> its text, or its two texts
TextsOfRow = Callable[[int], tuple[str, ...]]


@dataclass(frozen=True)
class Mistake:
    """Hold a row that was answered wrongly.

    Attributes:
        row: of the split, from 0.
        texts: one, or two of a pair, cut where they are long.
        labels: that the row has.
        answers: that it was given.
        probability: of the answer; where a row may have several labels, that of its surest wrong decision.
    """

    row: int
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    answers: tuple[str, ...]
    probability: float


@dataclass(frozen=True)
class ConfidenceBin:
    """Hold the rows whose answers are about equally probable.

    Attributes:
        rows: how many.
        confidence: their mean probability of the answer, in [0, 1].
        accuracy: the share of them that is right, in [0, 1].
    """

    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class ErrorAnalysis:
    """Hold what a report shows of the answers to a split.

    Attributes:
        split: dev or test.
        rows: of it.
        classes: that occur, each with its scores, in class order.
        confusion: rows by label and answer, [classes][classes]; None where a row may have several labels.
        bins: of confidence, lowest first, without empty ones; none where a row may have several labels.
        mistakes: how many rows have a wrong answer.
        surest_mistakes: some of them, the most probable answer first.
    """

    split: str
    rows: int
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...] | None
    bins: tuple[ConfidenceBin, ...]
    mistakes: int
    surest_mistakes: tuple[Mistake, ...]

    @classmethod
    def read(cls, path: Path) -> ErrorAnalysis:
        """Read what `write` wrote.

        Raises:
            InputError: if it is damaged.
        """
        return checked(cls, read_json(path, ADVICE), f"'{path}'", ADVICE)

    def write(self, path: Path) -> None:
        """Write a JSON file."""
        write_text(path, json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def of(
        cls,
        split: str,
        task: Task,
        rule: AnswerRule,
        probabilities: NDArray[Any],
        labels: NDArray[Any],
        texts_of_row: TextsOfRow,
    ) -> ErrorAnalysis:
        """Look at the answers to a split.

        Args:
            split: its name.
            task: with the names of the classes.
            rule: of the saved prompt.
            probabilities: at temperature 1, [N, C].
            labels: class indices [N], or 1 for a row's classes and 0 for others [N, C].
            texts_of_row: gives the texts of a row.
        """
        names, labels = task.labels or (), labels.astype(np.int64)
        chances = rule.calibrated(probabilities)
        predictions = decide(task, chances, rule.thresholds)
        wrong = np.flatnonzero((labels != predictions).reshape(len(labels), -1).any(1))
        if task.multi_label:
            sureness = np.where(labels != predictions, _decided(chances, predictions), 0.0).max(-1)
            confusion, bins = None, tuple[ConfidenceBin, ...]()
        else:
            sureness = chances.max(-1)
            confusion, bins = (
                confusion_counts(labels, predictions),
                confidence_bins(sureness, labels == predictions),
            )
        surest = wrong[np.argsort(-sureness[wrong], kind="stable")][:MOST_MISTAKES]
        mistakes = tuple(
            Mistake(
                int(row),
                tuple(map(_shortened, texts_of_row(int(row)))),
                _named(labels[row], names),
                _named(predictions[row], names),
                float(sureness[row]),
            )
            for row in surest
        )
        scores = class_scores(labels, predictions, names)
        return cls(split, len(labels), scores, confusion, bins, len(wrong), mistakes)


def confusion_counts(labels: NDArray[Any], predictions: NDArray[Any]) -> tuple[tuple[int, ...], ...]:
    """Count rows by label and answer, over the classes that occur, in class order."""
    shown = occurring(labels, predictions)
    counts = np.zeros((len(shown), len(shown)), dtype=np.int64)
    np.add.at(counts, (np.searchsorted(shown, labels), np.searchsorted(shown, predictions)), 1)
    return tuple(tuple(line) for line in counts.tolist())


def confidence_bins(confidence: NDArray[Any], right: NDArray[Any]) -> tuple[ConfidenceBin, ...]:
    """Group rows by the probability of their answer into bins of equal width; empty ones are left out.

    Args:
        confidence: of each row, in [0, 1].
        right: whether each is right.
    """
    bin_of = bins_of(confidence, BINS)
    return tuple(
        ConfidenceBin(int(inside.sum()), float(confidence[inside].mean()), float(right[inside].mean()))
        for inside in (bin_of == number for number in range(BINS))
        if inside.any()
    )


def _decided(probabilities: NDArray[Any], predictions: NDArray[Any]) -> NDArray[Any]:
    """Return how probable each decision for or against a class is, [N, C]."""
    decided: NDArray[Any] = np.where(predictions == 1, probabilities, 1 - probabilities)
    return decided


def _named(classes: NDArray[Any], names: tuple[str, ...]) -> tuple[str, ...]:
    """Name a class index, or those classes that are 1."""
    indices = classes.nonzero()[0] if classes.ndim else [classes]
    return tuple(names[int(index)] for index in indices)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
