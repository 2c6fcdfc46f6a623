"""The records of a file with columns, read in parts: a file may be of any length."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

from spt.data.config import ENDINGS, Format
from spt.data.reading.csv_rows import (
    column_names,
    find_delimiter,
    is_quoted,
    rows_of,
    text_encoding,
    warn_of_delimiter,
)
from spt.data.reading.json_objects import json_objects
from spt.data.records.text_columns import HEAD, has_texts, text_columns
from spt.data.records.text_record import TextRecord
from spt.data.values import SHOWN, clean_texts, is_missing, refuse_repeated
from spt.errors import InputError
from spt.tasks import Task

# rows of a parquet file that are in memory together
BATCH = 1024

log = logging.getLogger(__name__)


def has_columns(path: Path) -> bool:
    """Say whether a file's ending is that of a table, as .csv is and .txt is not."""
    return path.suffix.lower() in ENDINGS


def read_table(path: Path, task: Task, all_columns: bool = True) -> Iterator[TextRecord]:
    """Yield the records of a CSV, TSV, JSON or parquet file, in order.

    Args:
        path: in UTF-8, or parquet; its ending says which format.
        task: names the columns of the texts; `text_columns` says what else they may be called.
        all_columns: whether other columns are of use; those of parquet are not read otherwise.

    Raises:
        InputError: if the file cannot be read or has no rows, the columns are not there, in JSON in none of
            the first `HEAD` records, or a row has something else than a text, naming the row.
    """
    kind = ENDINGS[path.suffix.lower()]
    rows = _rows(path, kind, task, all_columns)
    head = _to_first_with_texts(rows, task, HEAD if kind == "json" else 1)
    if not head:
        raise InputError(f"The file {path} has no rows.")
    names = text_columns(head[-1] if has_texts(head[-1], task) else head[0], task, str(path))
    for number, columns in enumerate(chain(head, rows), start=1):
        if any(is_missing(columns.get(name)) for name in names):
            yield TextRecord(None, columns)
            continue
        texts = (
            clean_texts([columns[name]], f"The text column '{name}' of {path}", rows=[number - 1])[0]
            for name in names
        )
        yield TextRecord(tuple(texts), columns)


def _to_first_with_texts(rows: Iterator[Mapping[str, Any]], task: Task, most: int) -> list[Mapping[str, Any]]:
    """Take the rows up to the first that has the columns of the texts, which is the last of them."""
    head = []
    for row in islice(rows, most):
        head.append(row)
        if has_texts(row, task):
            break
    return head


def delimiter_of(path: Path, task: Task) -> str:
    """Return what stands between the fields of a CSV or TSV file, as `read_table` takes it.

    Raises:
        InputError: if a field of the first line is too long.
    """
    kind = ENDINGS[path.suffix.lower()]
    try:
        return find_delimiter(path, "utf-8", kind, is_quoted(kind), partial(has_texts, task=task))
    except csv.Error as error:
        raise InputError(f"The first line of {path} is no header of {kind}: {error}.") from error


def _rows(path: Path, kind: Format, task: Task, all_columns: bool) -> Iterator[Mapping[str, Any]]:
    if kind == "parquet":
        return _parquet_rows(path, task, all_columns)
    return _json_rows(path) if kind == "json" else _csv_rows(path, kind, task)


def _csv_rows(path: Path, kind: Format, task: Task) -> Iterator[dict[str, str]]:
    """Yield each row under the names of the header; the fields that a short one lacks are empty."""
    row = long_rows = 0
    first_long_rows: list[int] = []
    with path.open(encoding=text_encoding("utf-8"), newline="") as stream:
        try:
            delimiter = delimiter_of(path, task)
            warn_of_delimiter(path, kind, delimiter)
            rows = rows_of(stream, delimiter, is_quoted(kind))
            names = column_names(next((fields for fields, _ in rows), []), path)
            for row, (fields, lines) in enumerate(rows, start=1):
                if len(fields) > len(names):
                    raise InputError(
                        f"Row {row} of {path} has {len(fields)} fields, but the header has {len(names)}: "
                        f"{', '.join(names)}. Put fields with a comma or a tab in double quotes."
                    )
                if lines > 1:
                    long_rows += 1
                    first_long_rows += [row] if long_rows <= SHOWN else []
                yield dict(zip_longest(names, fields, fillvalue=""))
        except csv.Error as error:
            raise InputError(
                f"Row {row + 1} of {path} is not {kind}: {error}. Close quotes that were left open."
            ) from error
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path} is not UTF-8, at or after row {row + 1} ({error}). Save the file as UTF-8."
            ) from error
    if long_rows:
        # a quote that was never closed takes whole rows along
        log.warning(
            "%s: quoted fields hold line breaks in %d rows (row %s%s), each of which got one answer; close "
            "quotes that were left open",
            path,
            long_rows,
            ", ".join(map(str, first_long_rows)),
            " …" if long_rows > SHOWN else "",
        )


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding=text_encoding("utf-8"), newline="\n") as stream:
        try:
            yield from json_objects(stream, path)
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 ({error}). Save the file as UTF-8.") from error


def _parquet_rows(path: Path, task: Task, all_columns: bool) -> Iterator[dict[str, Any]]:
    # takes a while to load, and few files are of this kind
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    try:
        with ParquetFile(path) as file:
            refuse_repeated(file.schema_arrow.names, f"{path} has")
            texts = list(text_columns(file.schema_arrow.names, task, str(path)))
            for batch in file.iter_batches(BATCH, columns=None if all_columns else texts):
                # text that is no UTF-8 would be refused in words of Python's
                batch.validate(full=True)
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read {path} as parquet: {error}. Check the ending of the file.") from error
