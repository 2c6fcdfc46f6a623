"""The rules by which a CSV or TSV file is read: its quotes, its header, the lines that are no rows."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from typing import Any

from spt.data.config import Format


def csv_options(kind: Format, quoting: bool | None = None) -> dict[str, Any]:
    """Return the options of `csv.reader` for a file.

    Args:
        kind: csv or tsv.
        quoting: whether fields may stand in double quotes; None: in CSV yes, in TSV no.
    """
    quoted = kind == "csv" if quoting is None else quoting
    return {
        "delimiter": "," if kind == "csv" else "\t",
        "quoting": csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    }


def column_names(header: Sequence[str]) -> list[str]:
    """Return the header with a name for each column: a saved index often has none."""
    return [name or f"column {number}" for number, name in enumerate(header, start=1)]


def is_blank(row: Sequence[str]) -> bool:
    """Say whether a line is blank: `Dataset.from_csv` leaves those out too."""
    return len(row) < 2 and not "".join(row).strip()


def text_encoding(encoding: str) -> str:
    """Return the encoding to open a file by.

    UTF-8 files may start with a byte order mark, which is no part of the first column's name.
    """
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
