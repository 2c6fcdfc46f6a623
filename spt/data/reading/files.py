"""One local file of labelled rows -> a table with its columns as they are."""

import codecs
import glob
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset
from pyarrow.parquet import read_schema

from spt.data.config import ENDINGS, DataConfig, Format
from spt.data.reading.csv_rows import (
    DELIMITERS,
    column_names,
    csv_options,
    find_delimiter,
    is_quoted,
    rows_of,
    text_encoding,
    warn_of_delimiter,
)
from spt.data.reading.json_rows import read_json
from spt.data.reading.raw_table import UNREADABLE, RawTable
from spt.data.values import refuse_repeated, some
from spt.errors import InputError, machine_fault
from spt.storage.files import expanded
from spt.tasks import Task

BLOCK = 1 << 20
# first bytes of files that hold others
PACKED = {
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a ZIP archive, as Excel's files are too",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
}
LINE_BREAK = re.compile(r"\r\n|\r|\n")

log = logging.getLogger(__name__)


def read_file(path: Path, data: DataConfig, task: Task) -> RawTable:
    """Read the rows of a file into memory; no cache is left behind.

    CSV and TSV columns are strings. A 'lines' file gets the task's label and text columns.

    Raises:
        InputError: the file is missing, empty, not in the encoding, or not in the format.
        OSError, MemoryError: the machine failed.
    """
    path = expanded(path)
    if not path.is_file():
        raise InputError(f"The data file {path} does not exist. Working directory: {Path.cwd()}.")
    if path.stat().st_size == 0:
        raise InputError(f"The data file {path} is empty.")
    _check_packed(path)
    kind = data.format or _format(path)
    if kind != "parquet":
        _check_encoding(path, data.encoding)
    try:
        if kind == "parquet":
            return _read_parquet(path)
        if kind == "json":
            return read_json(path, text_encoding(data.encoding), task.columns)
        if kind == "lines":
            return _read_lines(path, data, task)
        return _read_csv(path, data, task, kind)
    except InputError:
        raise
    except UNREADABLE as error:
        if (fault := machine_fault(error)) is not None:
            raise fault from error
        raise InputError(
            f"Cannot read {path} as {kind}: {_root(error)}. "
            "Check data.format, data.delimiter, data.quoting and data.columns."
        ) from error


def _format(path: Path) -> Format:
    if path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"The format of {path} is not clear from its ending '{path.suffix}'. "
            f"Known endings: {', '.join(ENDINGS)}. Set data.format to csv, tsv, json, parquet or lines."
        )
    return ENDINGS[path.suffix.lower()]


def _check_packed(path: Path) -> None:
    with path.open("rb") as stream:
        head = stream.read(max(map(len, PACKED)))
    for magic, what in PACKED.items():
        if head.startswith(magic):
            raise InputError(f"{path} is {what}. Unpack it, or save its table as CSV, and give that file.")


def _check_encoding(path: Path, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = 0
    with path.open("rb") as stream:
        while True:
            block = stream.read(BLOCK)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                where = offset - pending + error.start
                raise InputError(
                    f"{path} is not {encoding}: byte 0x{error.object[error.start]:02x} at offset {where}. "
                    "Save the file as UTF-8, or set data.encoding, for example to latin-1."
                ) from error
            except UnicodeError as error:
                # some decoders do not say where
                raise InputError(
                    f"{path} is not {encoding}: {error}. Save the file as UTF-8, or set data.encoding."
                ) from error
            if not block:
                return
            offset += len(block)


def _read_parquet(path: Path) -> RawTable:
    refuse_repeated(read_schema(path).names, f"{path} has")
    with _in_memory(path, "parquet") as (named, options):
        rows = Dataset.from_parquet(named, **options)
    # text that is no UTF-8 would only be noticed where it is used
    rows.data.table.validate(full=True)
    return RawTable.of(rows)


def _read_csv(path: Path, data: DataConfig, task: Task, kind: Format) -> RawTable:
    delimiter, quoted = _delimiter(path, data, task, kind), is_quoted(kind, data.quoting)
    encoding = text_encoding(data.encoding)
    with path.open(encoding=encoding, newline="") as stream:
        rows = (fields for fields, _ in rows_of(stream, delimiter, quoted))
        columns = column_names(data.columns or next(rows, []), path)
        first = next(rows, None)
    if first is None:
        raise InputError(
            f"The data file {path} has a header but no rows. If it has no header, set data.columns."
        )
    if data.columns and _folded(first) == _folded(columns):
        raise InputError(
            f"The first row of {path} is a header: {', '.join(first)}. data.columns is for files "
            "without one; leave it out."
        )
    if len(first) != len(columns):
        raise InputError(
            f"The first row of {path} has {len(first)} fields, but there are {len(columns)} columns: "
            f"{', '.join(columns)}. Check data.columns, data.format, data.delimiter and data.quoting."
        )
    with _in_memory(path, kind) as (named, memory):
        table = Dataset.from_csv(
            named,
            # strings, so that a label 01 or a text 'NA' stays what it is
            features=datasets.Features({column: datasets.Value("string") for column in columns}),
            keep_default_na=False,
            encoding=encoding,
            column_names=columns,
            header=None if data.columns else 0,
            **csv_options(delimiter, quoted),
            **memory,
        )
    if quoted:
        _warn_of_swallowed_lines(table, path)
    return RawTable.of(table)


def _folded(names: Sequence[str]) -> list[str]:
    """Return names in any order and case, as they are compared."""
    return sorted(name.strip().casefold() for name in names)


def _delimiter(path: Path, data: DataConfig, task: Task, kind: Format) -> str:
    if data.delimiter is not None:
        return DELIMITERS[data.delimiter]
    needed = set(task.columns)

    def fits(fields: Sequence[str]) -> bool:
        return len(fields) == len(data.columns) if data.columns else needed <= set(fields)

    delimiter = find_delimiter(path, data.encoding, kind, is_quoted(kind, data.quoting), fits)
    warn_of_delimiter(path, kind, delimiter, "; set data.delimiter if that is wrong")
    return delimiter


def _warn_of_swallowed_lines(table: Dataset, path: Path) -> None:
    """Name the rows that stand on several lines: a quote that was never closed takes whole rows along."""
    lines: dict[int, int] = {}
    for column in table.column_names:
        for row, value in enumerate(table[column][:]):
            if value and ("\n" in value or "\r" in value):
                lines[row] = lines.get(row, 1) + len(LINE_BREAK.findall(value))
    if lines:
        rows = sorted(lines)
        log.warning(
            "%s: quoted fields hold line breaks in %d rows (%s); close quotes that were left open, or set "
            "data.quoting to false where quotes are plain text",
            path,
            len(rows),
            some(f"row {row + 1} has {lines[row]} lines" for row in rows),
        )


def _read_lines(path: Path, data: DataConfig, task: Task) -> RawTable:
    pairs: list[list[str]] = []
    with path.open(encoding=text_encoding(data.encoding)) as stream:
        for number, line in enumerate(map(str.strip, stream), start=1):
            if line and " " not in line:
                raise InputError(
                    f"Line {number} of {path} is '{line[:40]}', but must be a label, a space and a text."
                )
            if line:
                pairs.append(line.split(" ", 1))
    return RawTable({task.label: [label for label, _ in pairs], task.text: [text for _, text in pairs]})


def _root(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


@contextmanager
def _in_memory(path: Path, kind: Format) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give a file's name for `datasets`, and options that leave no cache, without its bars and logs."""
    bars, level = datasets.utils.is_progress_bar_enabled(), datasets.utils.logging.get_verbosity()
    datasets.utils.disable_progress_bars()
    datasets.utils.logging.set_verbosity(logging.CRITICAL + 1)
    try:
        with tempfile.TemporaryDirectory() as cache:
            named = _plainly_named(path, Path(cache) / f"rows.{kind}")
            yield named, {"cache_dir": cache, "keep_in_memory": True}
    finally:
        datasets.utils.logging.set_verbosity(level)
        if bars:
            datasets.utils.enable_progress_bars()


def _plainly_named(path: Path, link: Path) -> str:
    """Give a file another name: `datasets` takes one with [, ? or * as a pattern, one with :: as a chain."""
    try:
        link.symlink_to(path.absolute())
    except OSError:
        # a file system without links
        shutil.copyfile(path, link)
    # the folder of temporary files has a name too
    return glob.escape(str(link))
