"""The score of a fitted estimator's answers, also where rows have classes that it was not fitted on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from experiments.fitting.class_values import ClassValues
from experiments.fitting.rows import LabelledRows
from spt.answers.decisions import score_answers
from spt.data.labels.label_lists import clean_label_lists
from spt.data.labels.label_sets import multi_hot
from spt.data.values import clean_labels, clean_texts, rows_shown, some
from spt.errors import InputError

if TYPE_CHECKING:
    # takes seconds to load, for which an estimator that is not fitted need not wait
    from spt.serving.classifier import PromptClassifier

log = logging.getLogger(__name__)


def score_rows(classifier: PromptClassifier, classes: ClassValues, rows: LabelledRows) -> float:
    """Return the task's metric of the answers to X.

    As in scikit-learn, a label that is no class is never answered, of which a warning tells: where folds are
    drawn, a rare class may be in no row that was fitted.

    Raises:
        InputError: for no rows, another number of labels than of texts, labels that are missing, or of
            another type than the classes, with their rows, or lists that may be 0 and 1 for each class.
    """
    task, texts = classifier.spec.task, rows.columns.texts
    if task.multi_label:
        rows.refuse_unclear_labels("X", task, len(classes.names))
        clean_label_lists(rows.labels, "The list of labels of X", rows.row_numbers)
        sets = rows.labels
    else:
        clean_labels(rows.labels, "The list of labels of X", rows.row_numbers)
        sets = [[label] for label in rows.labels]
    if len(sets) != len(texts) or not texts:
        raise InputError(
            f"X has {len(texts)} texts and {len(sets)} labels, but as many of both are needed, at least one."
        )
    numbers, foreign = classes.numbers_of(sets, rows.row_numbers)
    if foreign:
        known = len(classes.values)
        wrong = [
            row
            for row, each in zip(rows.row_numbers, numbers, strict=True)
            if any(number >= known for number in each)
        ]
        log.warning(
            "the label %s of X (%s) is none of the classes that were fitted, so answers there count as wrong",
            some(map(repr, foreign)),
            rows_shown(wrong),
        )
    for name, column in (("texts", texts), ("second texts", rows.columns.pairs or [])):
        clean_texts(column, f"The list of {name}", rows.row_numbers)
    chances = classifier.predict_proba(texts, rows.columns.pairs)
    # of labels that are no classes, which no answer can be
    chances = np.pad(chances, ((0, 0), (0, len(foreign))))
    if not task.multi_label:
        return score_answers(task, np.array(numbers, dtype=np.int64)[:, 0], chances, None)["metric"]
    limits = classifier.spec.answers.thresholds
    padded = None if limits is None else (*limits, *(1.0 for _ in foreign))
    return score_answers(task, multi_hot(numbers, chances.shape[1]), chances, padded)["metric"]
