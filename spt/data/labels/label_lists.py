"""Several labels in one cell: a list, JSON text of one, or names with a delimiter between them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from spt.data.values import clean_labels, is_missing, rows_shown, scalar, some
from spt.errors import InputError


def clean_label_lists(
    values: Sequence[Any], where: str, rows: Sequence[int] | None = None, delimiter: str | None = None
) -> list[list[str]]:
    """Return the labels of each row as class names; a row may have none.

    Args:
        values: lists, or text, one a row.
        where: names the column in errors.
        rows: numbers of the rows for errors, from 0; None: all, in order.
        delimiter: stands between the labels of a text; None: a text is a JSON list.

    Raises:
        InputError: naming the rows, for what is no list of labels, or has a label twice.
    """
    rows = range(len(values)) if rows is None else rows
    lists = [label_list(value, delimiter) for value in values]
    if wrong := [place for place, items in enumerate(lists) if items is None]:
        kinds = some(dict.fromkeys(type(values[place]).__name__ for place in wrong))
        shown = rows_shown([rows[place] for place in wrong])
        raise InputError(
            f"{where} holds no list of labels, but {kinds}, in {shown}. "
            'With task.multi_label write a JSON list a row, as ["a", "b"] or [], or set task.label_delimiter '
            "to what stands between the labels of a cell, or task.label_columns."
        )
    filled = [items for items in lists if items is not None]
    row_of_item = [row for row, items in zip(rows, filled, strict=True) for _ in items]
    names = iter(clean_labels([item for items in filled for item in items], where, row_of_item))
    labels = [[next(names) for _ in items] for items in filled]
    repeated = [place for place, items in enumerate(labels) if len(set(items)) < len(items)]
    if repeated:
        # rows of 0 and 1 for each class, too, have both more than once
        are_flags = all(_are_flags(filled[place]) for place in repeated)
        hint = (
            " If these are 0 and 1 for each class, give an array of them, such as np.array(labels), or in a "
            "file columns that task.label_columns names."
        )
        shown = rows_shown([rows[place] for place in repeated])
        raise InputError(f"{where} has a label twice in {shown}. Write each once.{hint if are_flags else ''}")
    return labels


def refuse_unclear_lists(values: Sequence[Any], classes: int, where: str) -> None:
    """Refuse lists that may be 0 and 1 for each class as well as the labels 0 and 1.

    Args:
        values: as of `clean_label_lists`; those that are missing say nothing.
        classes: C, the length of such lists.
        where: names the column in errors.

    Raises:
        InputError: if each list is of C numbers that are 0 or 1, or truth values.
    """
    lists = [label_list(value) for value in values if not is_missing(value)]
    if classes < 2 or not lists:
        return
    if all(items is not None and len(items) == classes and _are_flags(items) for items in lists):
        raise InputError(
            f"{where} has {classes} numbers in every row, each 0 or 1, and there are {classes} classes, so "
            "that they may be 0 and 1 for each class as well as the labels 0 and 1. Give an array with a "
            "column of 0 and 1 for each class, as np.array(labels) is if they are the former."
        )


def _are_flags(items: Sequence[Any]) -> bool:
    """Say whether all items are 0 or 1 as numbers, or truth values."""
    numbers = [scalar(item) for item in items]
    return all(isinstance(number, int | float) and number in (0, 1) for number in numbers)


def label_list(value: Any, delimiter: str | None = None) -> list[Any] | None:
    """Return the labels of a cell, as `clean_label_lists` reads it; None for what is no list of labels."""
    if isinstance(value, list | tuple):
        return list(value)
    if hasattr(value, "tolist") and getattr(value, "shape", ()) != ():
        return list(value.tolist())
    if not isinstance(value, str):
        return None
    if delimiter is not None:
        return [part for part in value.split(delimiter) if part.strip()]
    try:
        parsed = json.loads(value) if value.lstrip().startswith("[") else None
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, list) else None
