"""The rules by which a CSV or TSV file is read: delimiter, quotes, header, and the lines that are no rows."""

from __future__ import annotations

import codecs
import csv
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spt.data.config import Delimiter, Format
from spt.data.values import refuse_repeated

# by their names in a configuration; where several fit a header, the first is taken
DELIMITERS: Mapping[Delimiter, str] = MappingProxyType({",": ",", ";": ";", "tab": "\t", "|": "|"})
LONGEST_HEADER = 2**20
# characters; a quote that is never closed makes one field of all that follows
LONGEST_FIELD = 2**24

log = logging.getLogger(__name__)


def csv_options(delimiter: str, quoted: bool) -> dict[str, Any]:
    """Return the options of `csv.reader` for a file.

    Args:
        delimiter: that stands between fields.
        quoted: whether fields may stand in double quotes.
    """
    return {"delimiter": delimiter, "quoting": csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE}


def is_quoted(kind: Format, quoting: bool | None = None) -> bool:
    """Say whether fields of a file may stand in double quotes: by default in CSV yes, in TSV no."""
    return kind == "csv" if quoting is None else quoting


def find_delimiter(
    path: Path, encoding: str, kind: Format, quoted: bool, fits: Callable[[Sequence[str]], bool]
) -> str:
    """Find what stands between the fields of a file: a tab in TSV, in CSV what its first line shows.

    Args:
        path: of the file.
        encoding: of its text.
        kind: csv or tsv.
        quoted: whether fields may stand in double quotes.
        fits: says whether these are fields of the header, or of the first row.

    Raises:
        csv.Error: for a field that is too long.
    """
    if kind == "tsv":
        return "\t"
    fields = _first_fields(path, encoding, quoted)
    fitting = [delimiter for delimiter, values in fields.items() if fits(values)]
    # of a header that is not what is looked for, an error should name the columns
    likely = "," if len(fields[","]) > 1 else max(fields, key=lambda delimiter: len(fields[delimiter]))
    return fitting[0] if fitting else likely


def warn_of_delimiter(path: Path, kind: Format, delimiter: str, advice: str = "") -> None:
    """Say which delimiter was found in a CSV file, if it is no comma.

    Args:
        path: of the file.
        kind: csv or tsv.
        delimiter: that was found.
        advice: ends the line.
    """
    if kind == "csv" and delimiter != ",":
        log.warning("%s has %r between its fields, by its first line%s", path, delimiter, advice)


def _first_fields(path: Path, encoding: str, quoted: bool) -> dict[str, list[str]]:
    """Return the fields of the first line that is not blank, by each delimiter."""
    line = ""
    # what is not in the encoding is told where all is read
    with path.open(encoding=text_encoding(encoding), newline="", errors="replace") as stream:
        while not line.strip() and (part := stream.readline(LONGEST_HEADER)):
            line = part
    return {
        delimiter: next(csv.reader([line], **csv_options(delimiter, quoted)), [])
        for delimiter in DELIMITERS.values()
    }


def column_names(header: Sequence[str], path: Path) -> list[str]:
    """Return the header with a name for each column: a saved index often has none.

    Raises:
        InputError: if two columns have one name, naming it and the file.
    """
    names = [name or f"column {number}" for number, name in enumerate(header, start=1)]
    refuse_repeated(names, f"{path} has")
    return names


def rows_of(stream: Iterable[str], delimiter: str, quoted: bool) -> Iterator[tuple[list[str], int]]:
    """Give the fields of each row, and how many lines it takes.

    Blank lines are no rows, as for `Dataset.from_csv`; a quoted field without text is one.

    Args:
        stream: lines, with their ends.
        delimiter: as of `csv_options`.
        quoted: likewise.

    Raises:
        csv.Error: for a field that is too long, or a quote that is never closed.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    line = ""

    def noted() -> Iterator[str]:
        nonlocal line
        for line in stream:
            yield line
        # one more, which is a row of its own unless a quote is open
        line = ""
        yield line

    reader, end = csv.reader(noted(), **csv_options(delimiter, quoted)), 0
    for fields in reader:
        lines, end = reader.line_num - end, reader.line_num
        if lines > 1 and not line:
            raise csv.Error("a quote is never closed")
        if lines > 1 or len(fields) > 1 or line.strip(" \t\r\n"):
            yield fields, lines


def text_encoding(encoding: str) -> str:
    """Return the encoding to open a file by.

    UTF-8 files may start with a byte order mark, which is no part of the first column's name.
    """
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
