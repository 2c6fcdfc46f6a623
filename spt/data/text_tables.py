"""The texts of a file with columns, without its labels, read in parts: a file may be of any length."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spt.data.config import ENDINGS, Format
from spt.data.csv_rows import column_names, csv_options, is_blank, text_encoding
from spt.data.json_objects import json_objects
from spt.data.text_columns import text_columns
from spt.data.values import SHOWN, clean_texts
from spt.errors import InputError
from spt.tasks import Task

# rows of a parquet file that are in memory together
BATCH = 1024

log = logging.getLogger(__name__)


def has_columns(path: Path) -> bool:
    """Say whether a file's ending is that of a table, as .csv is and .txt is not."""
    return path.suffix.lower() in ENDINGS


def read_table_texts(path: Path, task: Task) -> Iterator[tuple[str, ...]]:
    """Yield the (text,) or (text, text_pair) of each record of a CSV, TSV, JSON or parquet file, in order.

    Args:
        path: in UTF-8, or parquet; its ending says which format.
        task: names the columns of the texts; `text_columns` says what else they may be called.

    Raises:
        InputError: if the file cannot be read or has no rows, the columns are not there, or a row has no
            text, naming the row.
    """
    number = 0
    for number, record in enumerate(_records(path, ENDINGS[path.suffix.lower()], task), start=1):
        if number == 1:
            columns = text_columns(record, task, str(path))
        yield tuple(
            clean_texts([record.get(column)], f"The text column '{column}' of {path}", rows=[number - 1])[0]
            for column in columns
        )
    if number == 0:
        raise InputError(f"The file {path} has no rows.")


def _records(path: Path, kind: Format, task: Task) -> Iterator[Mapping[str, Any]]:
    if kind == "parquet":
        return _parquet_records(path, task)
    return _json_records(path) if kind == "json" else _csv_records(path, kind)


def _csv_records(path: Path, kind: Format) -> Iterator[dict[str, str]]:
    """Yield each row under the names of the header; one that is too short lacks its last columns."""
    row = long_rows = 0
    first_long_rows: list[int] = []
    with path.open(encoding=text_encoding("utf-8"), newline="") as stream:
        try:
            reader = csv.reader(stream, **csv_options(kind))
            names = column_names(next((fields for fields in reader if not is_blank(fields)), []))
            end = reader.line_num
            for fields in reader:
                lines, end = reader.line_num - end, reader.line_num
                if is_blank(fields):
                    continue
                row += 1
                if len(fields) > len(names):
                    raise InputError(
                        f"Row {row} of {path} has {len(fields)} fields, but the header has {len(names)}: "
                        f"{', '.join(names)}. Put fields with a comma or a tab in double quotes."
                    )
                if lines > 1:
                    long_rows += 1
                    first_long_rows += [row] if long_rows <= SHOWN else []
                yield dict(zip(names, fields, strict=False))
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


def _json_records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding=text_encoding("utf-8"), newline="\n") as stream:
        try:
            yield from json_objects(stream, path)
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 ({error}). Save the file as UTF-8.") from error


def _parquet_records(path: Path, task: Task) -> Iterator[dict[str, Any]]:
    """Yield the columns of the texts alone."""
    # takes a while to load, and few files are of this kind
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    try:
        with ParquetFile(path) as file:
            columns = text_columns(file.schema_arrow.names, task, str(path))
            for batch in file.iter_batches(BATCH, columns=list(columns)):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"Cannot read {path} as parquet: {error}. Check the ending of the file.") from error
