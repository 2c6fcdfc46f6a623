"""What a text is answered with: a label or none, or a set of labels, with probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spt.answers.decisions import decide
from spt.data.values import rows_shown
from spt.errors import InputError
from spt.spec import ModelSpec


@dataclass(frozen=True)
class Prediction:
    """Hold a label and its probability, in [0, 1]; the label is None where that is below the threshold."""

    label: str | None
    probability: float

    def as_json(self) -> dict[str, Any]:
        """Return what a line of answers holds."""
        return {"label": self.label, "probability": self.probability}


@dataclass(frozen=True)
class LabelSet:
    """Hold the labels of a text, of any number, and the probability of each class, in [0, 1]."""

    labels: tuple[str, ...]
    probabilities: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return what a line of answers holds."""
        return {"labels": list(self.labels), "probabilities": dict(self.probabilities)}


# of a text that has one label, and of one that may have several
Answer = Prediction | LabelSet


def predictions(spec: ModelSpec, probabilities: NDArray[Any], threshold: float | None = None) -> list[Answer]:
    """Answer rows by their class probabilities.

    Args:
        spec: of the prompt, which has the labels and the defaults of the thresholds.
        probabilities: calibrated, [N, C].
        threshold: least probability of an answer, or, where a text may have several labels, of each of them;
            the prompt's own by default.

    Returns:
        The likeliest label of each row, or None where it does not reach the threshold; where a text may have
        several labels, those that reach theirs.
    """
    labels = spec.task.labels or ()
    if not spec.task.multi_label:
        return _likeliest(labels, probabilities, spec.answers.threshold if threshold is None else threshold)
    limits = spec.answers.thresholds if threshold is None else [threshold] * len(labels)
    return [
        LabelSet(
            tuple(label for label, yes in zip(labels, chosen, strict=True) if yes),
            dict(zip(labels, map(float, row), strict=True)),
        )
        for chosen, row in zip(decide(spec.task, probabilities, limits), probabilities, strict=True)
    ]


def _likeliest(labels: tuple[str, ...], probabilities: NDArray[Any], least: float | None) -> list[Answer]:
    answers: list[Answer] = []
    for best, chance in zip(probabilities.argmax(-1), probabilities.max(-1).tolist(), strict=True):
        answers.append(Prediction(labels[best] if least is None or chance >= least else None, chance))
    return answers


class NotFinite(InputError):
    """Report probabilities that are no numbers, of which no label could be told from another."""


def check_finite(probabilities: Iterable[NDArray[Any]], numbers: Sequence[int]) -> None:
    """Refuse probabilities that are not finite, by which a text would get any label, or none of several.

    Args:
        probabilities: of the classes, [C] each.
        numbers: of the caller's row that each comes of, from 0.

    Raises:
        NotFinite: naming the rows.
    """
    pairs = zip(probabilities, numbers, strict=True)
    if wrong := list(dict.fromkeys(number for row, number in pairs if not np.isfinite(row).all())):
        raise NotFinite(
            f"The model gives probabilities that are not finite in {rows_shown(wrong)}, so there is no "
            "answer. Check the weights of the backbone, or train the prompt again."
        )


def check_threshold(threshold: float | None) -> None:
    """Refuse a threshold that is no probability; True is none either.

    Raises:
        InputError: with the value.
    """
    is_number = isinstance(threshold, Real) and not isinstance(threshold, bool)
    if threshold is not None and not (is_number and 0 <= threshold <= 1):
        raise InputError(
            f"The threshold is {threshold!r}, but must be in [0, 1]: a number, the least probability of an "
            "answer."
        )
