"""Labels that are columns of 0 and 1, one for each class, of an array or a table -> lists of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spt.data.values import as_list, columns_of, python_values, some
from spt.errors import InputError
from spt.tasks import Task

Class = bool | int | float | str


def indicated_classes(
    labels: Any, task: Task, split: str, classes: Sequence[Class] | None = None
) -> tuple[Class, ...] | None:
    """Return the classes that labels have a column of 0 and 1 for, in the order of the columns.

    They are called as the task says, or else as the columns of a table, or numbered from 0.

    Args:
        labels: a table, or an array of numbers [N, C], with two columns or more; others have no such classes.
        task: has no such labels either unless a text may have several.
        split: names the rows in errors.
        classes: that there are, in order, in the place of the task's; a table may have them in any other.
            None where the task alone says any.

    Raises:
        InputError: if there are other classes, or another number of them.
    """
    if not task.multi_label or isinstance(labels, Mapping):
        return None
    columns = columns_of(labels, f"The labels of {split}")
    names: tuple[int | str, ...] = () if columns is None else tuple(columns)
    if columns is None and getattr(labels, "ndim", 1) == 2 and hasattr(labels, "tolist"):
        names = () if holds_texts(labels) else tuple(range(labels.shape[1]))
    if len(names) < 2:
        return None
    given: Sequence[Class] | None = classes or task.labels or task.label_columns
    if given is None:
        return names
    called, known = tuple(map(str, names)), tuple(map(str, given))
    if classes and columns is not None and set(known) == set(called):
        # names say more than places
        class_of = dict(zip(known, classes, strict=True))
        return tuple(class_of[name] for name in called)
    shared = set(known) & set(called)
    # an array has no names of its own, which may be those of other classes by chance
    is_other = shared and (columns is not None or shared == set(known))
    if len(known) != len(called) or (known != called and is_other):
        raise InputError(
            f"The labels of {split} have the {len(called)} columns {some(called)}, but the {len(known)} "
            f"classes of task '{task.name}' are {some(known)}. Give a column for each, in their order."
        )
    return tuple(given)


def indicated_labels(
    labels: Any, classes: Sequence[Class], task: Task, split: str
) -> list[list[Class] | None]:
    """Return the labels of each row of a table or an array with a column of 0 and 1 for each class.

    Args:
        labels: of which `indicated_classes` gave the classes.
        classes: of the columns.
        task: of the rows.
        split: names the rows in errors.

    Returns:
        The classes of each row, or None where a cell of it is empty.

    Raises:
        InputError: naming the rows, for cells that hold something else.
    """
    # loads datasets, for which other labels need not wait
    from spt.data.labels.row_labels import labels_where_complete  # noqa: PLC0415

    columns = columns_of(labels, f"The labels of {split}")
    cells = python_values(labels.T) if columns is None else columns.values()
    value_of = {str(name): name for name in classes}
    table = {
        name: as_list(each, f"The column '{name}' of the labels of {split}")
        for name, each in zip(value_of, cells, strict=True)
    }
    changes = {"labels": None, "label_columns": tuple(table), "label_delimiter": None}
    rows = labels_where_complete(task.model_copy(update=changes), split, table)
    return [None if row is None else [value_of[name] for name in row] for row in rows]


def holds_texts(labels: Any) -> bool:
    """Say whether an array is one of texts or of other objects, and not of numbers."""
    dtype = getattr(labels, "dtype", None)
    return isinstance(dtype, np.dtype) and dtype.kind in "OU"
