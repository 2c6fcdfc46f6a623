"""Labels in whatever form they are given -> one a row, or a list of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spt.data.labels.indicators import Class, holds_texts, indicated_classes, indicated_labels
from spt.data.labels.label_lists import label_list
from spt.data.values import as_list, columns_of, some
from spt.errors import InputError
from spt.tasks import Task


def label_column(
    labels: Any, rows: Any, task: Task, split: str, classes: Sequence[Class] | None = None
) -> list[Any]:
    """Read the labels of some rows.

    Args:
        labels: as many as rows, as a list, an array or a Series, or columns of `indicated_classes`; None for
            the task's column of `rows`, where classes of a `datasets.ClassLabel` have their names, unless the
            task has others.
        rows: as of `read_text_columns`.
        task: names the column.
        split: names the rows in errors.
        classes: as of `indicated_classes`.

    Raises:
        InputError: if there are none, or they are of another kind.
    """
    if labels is None:
        given = _label_columns(rows, task, split)
        if task.label_columns:
            return _label_lists(given, task, split)
        labels = given[task.label]
    if (indicated := indicated_classes(labels, task, split, classes)) is not None:
        return indicated_labels(labels, indicated, task, split)
    columns = columns_of(labels, f"The labels of {split}")
    if columns is not None and len(columns) == 1:
        (labels,) = columns.values()
    if getattr(labels, "ndim", 1) == 2:
        labels = _single_column(labels, split)
    values = as_list(labels, f"The list of labels of {split}")
    if task.label_delimiter:
        return _label_lists({task.label: values}, task, split)
    if task.multi_label:
        # what is no list is refused with its row where rows are checked
        return [value if (items := label_list(value)) is None else items for value in values]
    return values


def _single_column(labels: Any, split: str) -> Any:
    """Return the column of an array [N, 1], and an array [N, M] of texts as it is: a list of labels a row.

    Raises:
        InputError: for numbers, as of 0 and 1 for each class where a text has one label, and sparse ones.
    """
    if labels.shape[1] == 1:
        return labels[:, 0]
    if holds_texts(labels):
        return labels
    raise InputError(
        f"The labels of {split} are an array of numbers of the shape {tuple(labels.shape)}, but must be one "
        "label a row. Where a text may have several, set task.multi_label, and give a list of labels a row, "
        "or 0 and 1 for each class as a DataFrame or an array that is not sparse."
    )


def _label_lists(columns: Mapping[str, Sequence[Any]], task: Task, split: str) -> list[list[str] | None]:
    """Return the labels of each row, where delimited cells or several columns say them, or None."""
    # loads datasets, for which other labels need not wait
    from spt.data.labels.row_labels import labels_where_complete  # noqa: PLC0415

    return labels_where_complete(task, split, columns)


def _label_columns(rows: Any, task: Task, split: str) -> dict[str, list[Any]]:
    """Return the columns of labels that rows have.

    Raises:
        InputError: if they have no such columns.
    """
    columns = columns_of(rows, f"The rows of {split}")
    if columns is None:
        raise InputError(
            f"There are no labels of {split}: it requires y to be passed, but the target y is None. "
            "Give a label for each text."
        )
    if missing := [name for name in task.label_fields if name not in columns]:
        raise InputError(
            f"There are no labels of {split}, nor a column {some(map(repr, missing))} among {some(columns)}. "
            "Give labels, or name their column by task={'label': NAME}."
        )
    values = {name: as_list(columns[name], f"The column '{name}' of {split}") for name in task.label_fields}
    return _with_class_names(values, rows, task)


def _with_class_names(values: dict[str, list[Any]], rows: Any, task: Task) -> dict[str, list[Any]]:
    """Return columns of labels, with names for indices of named classes, unless the task has others.

    The index of no class is a label that is missing, as in files.
    """
    if not isinstance(getattr(rows, "features", None), Mapping):
        return values
    # loads datasets, which rows of one have loaded before
    from spt.data.incomplete import names_no_class  # noqa: PLC0415
    from spt.data.labels.row_labels import with_names  # noqa: PLC0415
    from spt.data.reading.raw_table import RawTable  # noqa: PLC0415

    classes = RawTable.of(rows).classes
    values = {
        name: [None if name in classes and names_no_class(value) else value for value in column]
        for name, column in values.items()
    }
    fitting = {
        name: names
        for name, names in classes.items()
        if name in values and (task.labels is None or set(names) <= set(task.labels))
    }
    return {**values, **{name: with_names(values[name], names) for name, names in fitting.items()}}
