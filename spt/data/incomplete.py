"""Rows without a text or a label: refused with all of them, or left out with a count."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from spt.data.reading.raw_table import RawTable
from spt.data.values import is_missing, rows_shown
from spt.problems import Problems
from spt.tasks import Task

Incomplete = Literal["refuse", "drop"]
# of a column of class indices: what hidden labels of a test split are
NO_CLASS = -1

log = logging.getLogger(__name__)


def complete_tables(
    task: Task, tables: Mapping[str, RawTable], incomplete: Incomplete, problems: Problems
) -> dict[str, RawTable]:
    """Return the tables without the rows that lack a text or a label.

    Args:
        task: names the columns; those that are not there are not looked at.
        tables: of each split.
        incomplete: refuse notes the rows as problems, drop tells them in a warning.
        problems: are added to.

    Returns:
        The splits of which rows remain.
    """
    complete = {}
    for split, table in tables.items():
        missing = _missing(task, table)
        without = sorted({row for rows in missing.values() for row in rows})
        if without and incomplete == "refuse":
            for column, rows in missing.items():
                if rows:
                    problems.add(_refusal(task, split, table, column, [table.rows[row] for row in rows]))
        elif without:
            log.warning(
                "%sleft out of %s: %d of %d rows, which have no text or no label (%s)",
                table.prefix,
                split,
                len(without),
                len(table),
                rows_shown([table.rows[row] for row in without]),
            )
        if not without or len(without) < len(table):
            complete[split] = table.without(without) if without else table
        elif incomplete == "drop":
            problems.add(f"{table.where('No row', split)} has both a text and a label.")
    return complete


def incomplete_rows(task: Task, table: RawTable) -> set[int]:
    """Return the rows that lack what any of the task's columns in a table should hold."""
    return {row for rows in _missing(task, table).values() for row in rows}


def _missing(task: Task, table: RawTable) -> dict[str, list[int]]:
    return {column: list(_missing_rows(task, table, column)) for column in _present(task, table)}


def _present(task: Task, table: RawTable) -> list[str]:
    return [column for column in task.columns if column in table.columns]


def _missing_rows(task: Task, table: RawTable, column: str) -> Iterator[int]:
    is_label = column in task.label_fields
    for row, value in enumerate(table.columns[column][:]):
        if is_label and task.label_delimiter is not None and isinstance(value, str):
            # an empty cell is a row of no label
            continue
        if is_missing(value) or (is_label and column in table.classes and names_no_class(value)):
            yield row


def names_no_class(value: Any) -> bool:
    """Say whether a cell of a column of class indices holds that of none, as hidden labels do."""
    return bool(isinstance(value, int) and value == NO_CLASS)


def _refusal(task: Task, split: str, table: RawTable, column: str, rows: list[int]) -> str:
    kind = "label" if column in task.label_fields else "text"
    where = table.where(f"The {kind} column '{column}'", split)
    return (
        f"{where} is empty in {rows_shown(rows)}. Fill or remove these rows, or set data.incomplete to drop."
    )
