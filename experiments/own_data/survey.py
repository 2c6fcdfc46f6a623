"""A file of labelled rows as it is found: format, encoding, delimiter, header, and its columns."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from statistics import quantiles
from typing import Any

from experiments.own_data.header import is_row
from spt.data.config import ENDINGS, Delimiter, Format
from spt.data.labels.label_lists import label_list
from spt.data.reading.csv_rows import (
    DELIMITERS,
    column_names,
    is_quoted,
    rows_of,
    text_encoding,
)
from spt.data.reading.json_objects import json_objects
from spt.data.values import refuse_repeated
from spt.errors import InputError

BLOCK = 2**20
# of a CSV file whose delimiter is looked for
SAMPLE_ROWS = 50
# what begins files of other encodings than UTF-8; all else that is not UTF-8 is likely of Windows
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
UTF_8, WINDOWS = "utf-8", "cp1252"
BOM = b"\xef\xbb\xbf"
# by which Excel is told the delimiter of a file
SEPARATOR_LINE = re.compile(r'\s*"?sep=.?"?\s*', re.IGNORECASE)
SEPARATOR_LENGTH = 20


@dataclass(frozen=True)
class Column:
    """A column and its values, as the file has them; None where a JSON object has none."""

    name: str
    values: Sequence[Any]

    @cached_property
    def texts(self) -> list[str]:
        """List the values that are not missing, as text without the spaces around it."""
        shown = (str(value).strip() for value in self.values if value is not None)
        return [text for text in shown if text]

    @property
    def missing(self) -> int:
        """Count the rows without a value."""
        return len(self.values) - len(self.texts)

    @cached_property
    def counts(self) -> Counter[str]:
        """Count each value, or each label of lists of them, the most frequent first."""
        if self.label_lists is None:
            return Counter(self.texts)
        return Counter(label for labels in self.label_lists for label in labels)

    @cached_property
    def label_lists(self) -> list[list[str]] | None:
        """Return the lists of texts that all values which are not missing are; None where some are none."""
        lists: list[list[str]] = []
        for value in self.values:
            if value is None or not str(value).strip():
                continue
            labels = label_list(value)
            if labels is None or not all(isinstance(label, str) for label in labels):
                return None
            lists.append(labels)
        return lists or None

    @property
    def spaced(self) -> int:
        """Count the values with spaces around them."""
        return sum(
            isinstance(value, str) and bool(value.strip()) and value != value.strip() for value in self.values
        )

    @property
    def mean_length(self) -> float:
        """Return the characters of a value, on average."""
        return sum(map(len, self.texts)) / max(1, len(self.texts))

    def words(self, share: float) -> int:
        """Return the number of words that a share of the values, in (0, 1), does not pass."""
        lengths = [len(text.split()) for text in self.texts]
        return max(lengths) if len(lengths) < 2 else round(quantiles(lengths, n=100)[int(share * 100) - 1])


@dataclass(frozen=True)
class Survey:
    """What was seen of a file.

    Attributes:
        path: of the file.
        format: by its ending.
        encoding: of its text; None for parquet.
        has_bom: whether it begins with UTF-8's byte order mark.
        delimiter: between the fields; None for files that have none.
        has_header: whether the first row names the columns; if not, they have names by their numbers.
        columns: in order.
    """

    path: Path
    format: Format
    encoding: str | None
    has_bom: bool
    delimiter: Delimiter | None
    has_header: bool
    columns: tuple[Column, ...]

    @property
    def rows(self) -> int:
        """Count the rows."""
        return len(self.columns[0].values)


def survey(path: Path) -> Survey:
    """Read a CSV, TSV, JSON or parquet file without knowing anything of it but its ending.

    Raises:
        InputError: if it is missing or empty, its ending is another, or it cannot be read.
    """
    if not path.is_file():
        raise InputError(f"There is no file '{path}'. Working directory: {Path.cwd()}.")
    kind = ENDINGS.get(path.suffix.lower())
    if kind is None:
        raise InputError(
            f"The format of '{path}' is not clear from its ending '{path.suffix}'. "
            f"Known endings: {', '.join(ENDINGS)}. Rename the file."
        )
    if kind == "parquet":
        return Survey(path, kind, None, False, None, True, _filled(_parquet_columns(path), path))
    encoding = _encoding(path)
    with path.open("rb") as stream:
        has_bom = stream.read(len(BOM)) == BOM
    if kind == "json":
        columns = _filled(_json_columns(path, encoding), path)
        return Survey(path, kind, encoding, has_bom, None, True, columns)
    _check_no_separator_line(path, encoding)
    try:
        delimiter: Delimiter = "tab" if kind == "tsv" else _delimiter(path, encoding)
        has_header, columns = _csv_columns(path, kind, encoding, delimiter)
    except csv.Error as error:
        raise InputError(
            f"Cannot read '{path}' as {kind}: {error}. Close quotes that were left open."
        ) from error
    return Survey(path, kind, encoding, has_bom, delimiter, has_header, _filled(columns, path))


def _filled(columns: tuple[Column, ...], path: Path) -> tuple[Column, ...]:
    if not columns or not columns[0].values:
        raise InputError(f"The file '{path}' has no rows.")
    return columns


def _encoding(path: Path) -> str:
    """Return UTF-8 if the file is, else what its first bytes say, or the encoding of Windows."""
    with path.open("rb") as stream:
        start = stream.read(2)
    if start in MARKS:
        return MARKS[start]
    try:
        with path.open(encoding=UTF_8) as text:
            while text.read(BLOCK):
                pass
    except UnicodeDecodeError:
        return WINDOWS
    return UTF_8


def _check_no_separator_line(path: Path, encoding: str) -> None:
    """Refuse a first line that is for Excel alone, and would be the header to all that reads the file."""
    with path.open(encoding=text_encoding(encoding), newline="", errors="replace") as stream:
        line = stream.readline(SEPARATOR_LENGTH)
    if SEPARATOR_LINE.fullmatch(line):
        raise InputError(
            f"The first line of '{path}' is {line.strip()!r}, which tells Excel the delimiter and is no "
            "header. Remove this line."
        )


def _delimiter(path: Path, encoding: str) -> Delimiter:
    """Return what parts the first rows into as many fields as the header, of which there are several."""
    shares: dict[Delimiter, float] = {}
    for name, delimiter in DELIMITERS.items():
        with path.open(encoding=text_encoding(encoding), newline="", errors="replace") as stream:
            lengths: list[int] = []
            # read by what is no delimiter of it, a file may seem to end inside a quote
            with suppress(csv.Error):
                for row in islice(_rows(stream, delimiter, quoted=True), SAMPLE_ROWS):
                    lengths.append(len(row))
        several = bool(lengths) and lengths[0] > 1
        shares[name] = lengths.count(lengths[0]) / len(lengths) if several else 0
    # a comma, which is the first, where all are as good
    return max(shares, key=lambda name: shares[name])


def _rows(stream: Any, delimiter: str, quoted: bool) -> Any:
    return (fields for fields, _ in rows_of(stream, delimiter, quoted))


def _csv_columns(
    path: Path, kind: Format, encoding: str, delimiter: Delimiter
) -> tuple[bool, tuple[Column, ...]]:
    """Return whether the first row names the columns, and the columns."""
    with path.open(encoding=text_encoding(encoding), newline="", errors="replace") as stream:
        first, *rest = [*_rows(stream, DELIMITERS[delimiter], is_quoted(kind))] or [[]]
    uneven = [number for number, row in enumerate(rest, start=1) if len(row) != len(first)]
    if uneven:
        raise InputError(
            f"Row {uneven[0]} of '{path}' has {len(rest[uneven[0] - 1])} fields, but the first row has "
            f"{len(first)}: {', '.join(first)[:200]}. Put fields with the delimiter in double quotes."
        )
    has_header = not is_row(first, rest)
    names = column_names(first if has_header else [""] * len(first), path)
    rows = rest if has_header else [first, *rest]
    return has_header, tuple(Column(name, [row[column] for row in rows]) for column, name in enumerate(names))


def _json_columns(path: Path, encoding: str) -> tuple[Column, ...]:
    with path.open(encoding=text_encoding(encoding), newline="\n", errors="replace") as stream:
        rows = list(json_objects(stream, path))
    names = list(dict.fromkeys(name for row in rows for name in row))
    return tuple(Column(name, [row.get(name) for row in rows]) for name in names)


def _parquet_columns(path: Path) -> tuple[Column, ...]:
    # takes a while to load, and few files are of this kind
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow.parquet import read_schema, read_table  # noqa: PLC0415

    try:
        refuse_repeated(read_schema(path).names, f"{path} has")
        table = read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"Cannot read '{path}' as parquet: {error}.") from error
    return tuple(Column(name, table[name].to_pylist()) for name in table.column_names)
