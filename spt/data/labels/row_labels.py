"""The labels of each row, as text: one, or several as lists, delimited cells or columns of 0 and 1 say."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from spt.data.incomplete import incomplete_rows
from spt.data.labels.label_lists import clean_label_lists, label_list
from spt.data.reading.raw_table import RawTable
from spt.data.values import clean_labels, rows_shown
from spt.problems import Problems
from spt.tasks import Task

YES = ("1", "true")
NO = ("0", "false")

log = logging.getLogger(__name__)


def row_labels(task: Task, split: str, table: RawTable) -> list[list[str]]:
    """Return the labels of each row: one, or any number where the task says so.

    Raises:
        InputError: naming the rows, for what is no label or no list of labels.
    """
    if task.label_columns is not None:
        return _of_columns(task, task.label_columns, split, table)
    values: Sequence[Any] = table.columns[task.label][:]
    if names := table.classes.get(task.label):
        values = [with_names(value, names) for value in values]
    where = table.where(f"The label column '{task.label}'", split)
    if task.multi_label:
        return clean_label_lists(values, where, table.rows, task.label_delimiter)
    labels = clean_labels(values, where, table.rows)
    spaced = [
        row
        for row, value, label in zip(table.rows, values, labels, strict=True)
        if isinstance(value, str) and value != label
    ]
    if spaced:
        log.warning("%s has spaces around its labels, which are left out, in %s", where, rows_shown(spaced))
    if lists := [row for row, label in zip(table.rows, labels, strict=True) if label_list(label) is not None]:
        log.warning(
            "%s holds lists, each of which is taken for the name of one class, in %s; set task.multi_label "
            "to true if a text may have several labels",
            where,
            rows_shown(lists),
        )
    return [[label] for label in labels]


def labels_where_complete(
    task: Task, split: str, columns: Mapping[str, Sequence[Any]]
) -> list[list[str] | None]:
    """Return the labels of each row as `row_labels` does, or None where what should say them is missing."""
    table = RawTable(columns)
    missing = incomplete_rows(task, table)
    labels = iter(row_labels(task, split, table.without(missing) if missing else table))
    return [None if row in missing else next(labels) for row in range(len(table))]


def with_names(value: Any, names: Sequence[str]) -> Any:
    """Return the class names for indices, one or a list; what is none is left for the checks."""
    if isinstance(value, list):
        return [with_names(item, names) for item in value]
    return names[int(value)] if isinstance(value, Integral) and 0 <= int(value) < len(names) else value


def _of_columns(task: Task, columns: Sequence[str], split: str, table: RawTable) -> list[list[str]]:
    labels: list[list[str]] = [[] for _ in table.rows]
    problems = Problems("the labels")
    for name, column in zip(task.labels or columns, columns, strict=True):
        wrong = []
        for position, value in enumerate(table.columns[column][:]):
            flag = _flag(value)
            if flag is None:
                wrong.append(table.rows[position])
            elif flag:
                labels[position].append(name)
        if wrong:
            where = table.where(f"The label column '{column}'", split)
            problems.add(
                f"{where} holds something else than 0 and 1 in "
                f"{rows_shown(wrong)}. Write 1 for rows of the class, and 0 for others."
            )
    problems.refuse()
    return labels


def _flag(value: Any) -> bool | None:
    """Return whether a cell says yes; None where it says neither yes nor no."""
    text = str(value).strip().lower().removesuffix(".0")
    return True if text in YES else False if text in NO else None
