"""Labels that are hardly names of classes: numbers with a fraction, or nearly one a row."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from spt.data.values import some
from spt.errors import InputError

FRACTION = re.compile(r"[+-]?\d*\.\d*[1-9]\d*([eE][+-]?\d+)?")
# rows a label on average, below which labels are hardly classes
LEAST_ROWS = 3
# labels below which few rows a label may be few rows in all
MANY_LABELS = 20

log = logging.getLogger(__name__)


def check_class_labels(labels: Sequence[str], where: str) -> None:
    """Refuse the values of a regression, and tell of labels that may be no classes.

    Args:
        labels: one a row.
        where: names the column in the error and the warnings.

    Raises:
        InputError: if some are numbers with a fraction, and there are fewer than `LEAST_ROWS` rows a label.
    """
    different = list(dict.fromkeys(labels))
    fractions = [label for label in different if FRACTION.fullmatch(label)]
    are_many = len(labels) < LEAST_ROWS * len(different)
    seen = f"{where} holds {len(different)} different labels in {len(labels)} rows"
    if fractions and are_many:
        raise InputError(
            f"{seen}, as the numbers {some(fractions)}. A classifier needs classes, each with several rows. "
            "Put the numbers into groups, set task.label to another column, or list them in task.labels if "
            "they are classes."
        )
    if fractions:
        log.warning(
            "%s holds numbers with a fraction, each of which is taken for a class: %s; put them into groups "
            "if they are measures",
            where,
            some(fractions),
        )
    elif are_many and len(different) >= MANY_LABELS:
        log.warning("%s, each of which is taken for a class; set task.label if it names another column", seen)
