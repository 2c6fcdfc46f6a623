"""The weight of each class in the loss: as given, or balanced by the rows of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spt.errors import InputError, unknown
from spt.tasks import Task
from spt.training.config import ClassWeights


def class_weights(option: ClassWeights, task: Task, labels: NDArray[Any]) -> tuple[float, ...] | None:
    """Return the weight of each class; None where all are alike.

    Balanced weights are N / (C * rows of the class), as scikit-learn has them; where a row may have several
    labels, rows without the class / rows with it.

    Args:
        option: `training.class_weights`. Classes that a mapping leaves out have weight 1.
        task: with the names of the classes.
        labels: of the training examples, [N] or [N, C].

    Raises:
        InputError: naming every weight of a class that the task or its training rows do not have.
    """
    if option is None:
        return None
    names = task.labels or ()
    per_class = labels.sum(0) if task.multi_label else np.bincount(labels, minlength=len(names))
    counts = [int(count) for count in per_class]
    if isinstance(option, Mapping):
        _check_names(option, task, counts)
        return tuple(option.get(name, 1.0) for name in names)
    rows = len(labels)
    if task.multi_label:
        return tuple((rows - count) / count if 0 < count < rows else 1.0 for count in counts)
    return tuple(rows / (len(names) * count) if count else 1.0 for count in counts)


def _check_names(weights: Mapping[str, float], task: Task, counts: Sequence[int]) -> None:
    rows = dict(zip(task.labels or (), counts, strict=True))
    problems: list[str] = []
    for name in weights:
        if name not in rows:
            problems.append(str(unknown("class", name, rows)))
        elif not rows[name]:
            problems.append(f"No training row has the class '{name}'.")
    if problems:
        raise InputError(
            f"training.class_weights has a weight for what the training data do not have. "
            f"{' '.join(problems)} Name classes of the data, or set training.class_weights to balanced."
        )
