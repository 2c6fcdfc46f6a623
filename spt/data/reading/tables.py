"""Rows that are Python objects -> a raw table a split, as files give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets import Dataset

from spt.data.reading.raw_table import RawTable
from spt.data.values import as_list, refuse_repeated, refuse_splits
from spt.errors import InputError
from spt.tasks import Task

# a DataFrame, a datasets.Dataset, columns by name, or (texts, labels) or (texts, pairs, labels)
Rows = Any


def to_tables(rows: Mapping[str, Rows], task: Task) -> dict[str, RawTable]:
    """Turn the rows of each split into a table.

    Args:
        rows: 'train' and, where there are some, 'dev' and 'test'.
        task: names the columns of rows that are given as lists alone.

    Raises:
        InputError: for an unknown split, no training rows, or rows of another kind.
    """
    unknown = sorted(set(rows) - {"train", "dev", "test"})
    if unknown or "train" not in rows:
        raise InputError(
            f"The rows are given for {', '.join(rows) or 'nothing'}, but must be for train and, where there "
            "are some, dev and test."
        )
    return {split: to_table(given, task, split) for split, given in rows.items()}


def to_table(rows: Rows, task: Task, split: str) -> RawTable:
    """Turn the rows of a split into a table.

    Raises:
        InputError: for rows of another kind, or columns of different lengths.
    """
    refuse_splits(rows, f"The rows of {split}")
    if isinstance(rows, Dataset):
        return RawTable.of(rows)
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        refuse_repeated([str(name) for name in rows.columns], f"The rows of {split} have")
        given: Mapping[Any, Any] = {name: rows[name] for name in rows.columns}
    else:
        given = rows if isinstance(rows, Mapping) else _named(rows, task, split)
    columns = {str(name): _listed(values, str(name)) for name, values in given.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"The columns of {split} must have as many rows each, but have: {shown}.")
    return RawTable(columns)


def _named(rows: Any, task: Task, split: str) -> dict[str, Any]:
    names = task.columns
    if not isinstance(rows, tuple) or len(rows) != len(names):
        raise InputError(
            f"The rows of {split} are {type(rows).__name__}, but must be a DataFrame, a datasets.Dataset, a "
            f"mapping of columns, or a tuple of lists: ({', '.join(names)})."
        )
    return dict(zip(names, rows, strict=True))


def _listed(values: Any, name: str) -> list[Any]:
    if isinstance(values, str):
        raise InputError(f"A column is the text {values[:40]!r}, but must be a list with one value a row.")
    return as_list(values, f"The column '{name}'")
