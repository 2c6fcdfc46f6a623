"""Texts in whatever form they are given -> one a row, and the second ones of pairs."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spt.data.values import as_list, columns_of, rows_shown, some
from spt.errors import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextColumns:
    """Hold the texts of some rows.

    Attributes:
        texts: one a row.
        pairs: the second text of each row; None where rows have one.
        names: of the columns, where they have names.
    """

    texts: list[Any]
    pairs: list[Any] | None = None
    names: tuple[str, ...] | None = None

    @property
    def width(self) -> int:
        """Count the texts of a row."""
        return 1 if self.pairs is None else 2


def read_text_columns(
    rows: Any, pairs: Any, names: Sequence[str], split: str, labels: Collection[str] = ()
) -> TextColumns:
    """Read the texts of some rows.

    Args:
        rows: texts as a list, an array or a Series; pairs of texts as a list of tuples or of lists, or an
            array of two columns; or a DataFrame, a `datasets.Dataset` or a mapping of columns: those with the
            names, or, if it has others, its only one or two, of which two are told in a warning.
        pairs: the second texts, where `rows` has one a row; None where it has both.
        names: of the columns of texts.
        split: names the rows in errors.
        labels: columns that are no texts, whatever the others are.

    Raises:
        InputError: for rows of another kind, columns that are not there, or another number of pairs.
    """
    columns = columns_of(rows, f"The rows of {split}")
    if columns is None:
        read = _unnamed_columns(rows, split)
    else:
        read = _named_columns(columns, names if pairs is None else names[:1], split, labels)
    if pairs is None:
        return read
    if read.pairs is not None:
        raise InputError(
            f"The rows of {split} are pairs of texts, but pairs are given too. Give one of them."
        )
    seconds = as_list(pairs, f"The list of second texts of {split}")
    if len(seconds) != len(read.texts):
        raise InputError(f"There are {len(read.texts)} texts of {split}, but {len(seconds)} second texts.")
    return TextColumns(read.texts, seconds, read.names)


def _named_columns(
    columns: Mapping[str, Any], names: Sequence[str], split: str, labels: Collection[str]
) -> TextColumns:
    if not all(name in columns for name in names):
        others = [name for name in columns if name not in labels]
        # where one of two has its name, the other cannot be told by its place
        if not 1 <= len(others) <= 2 or any(name in columns for name in names):
            missing = some(repr(name) for name in names if name not in columns)
            raise InputError(
                f"The rows of {split} have no column {missing}, only {some(columns)}. Name the column of the "
                "texts by task={'text': NAME}, or give that column alone."
            )
        names = others
        if len(names) == 2:
            # one of them may be no text, such as an id
            log.warning(
                "the columns '%s' and '%s' of %s are taken for the first and the second text of each row; if "
                "they are, name them by task={'text': NAME, 'text_pair': NAME}, and if one is no text, name "
                "the other by task={'text': NAME}",
                *names,
                split,
            )
    texts, *seconds = (as_list(columns[name], f"The column '{name}' of {split}") for name in names)
    if seconds and len(seconds[0]) != len(texts):
        first, second = names
        raise InputError(
            f"The columns of {split} must have as many rows each, but have: {first} {len(texts)}, {second} "
            f"{len(seconds[0])}."
        )
    return TextColumns(texts, seconds[0] if seconds else None, tuple(names))


def _unnamed_columns(rows: Any, split: str) -> TextColumns:
    if getattr(rows, "ndim", 1) != 1:
        if rows.ndim != 2 or rows.shape[1] not in (1, 2):
            raise InputError(
                f"The rows of {split} are an array of the shape {tuple(rows.shape)}, but must be texts [N], "
                "or texts in one or two columns [N, 1] or [N, 2]."
            )
        texts, *seconds = (as_list(column, f"The rows of {split}") for column in rows.T)
        return TextColumns(texts, seconds[0] if seconds else None)
    values = as_list(rows, f"The list of texts of {split}")
    # JSON writes pairs as lists
    lengths = [len(value) if isinstance(value, list | tuple) else None for value in values]
    if not any(length is not None for length in lengths):
        return TextColumns(values)
    if wrong := [row for row, length in enumerate(lengths) if length != 2]:
        raise InputError(
            f"The rows of {split} must all be pairs (first text, second text), or all be texts, but are "
            f"neither in {rows_shown(wrong)}."
        )
    return TextColumns([first for first, _ in values], [second for _, second in values])
