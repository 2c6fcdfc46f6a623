"""Records of any columns -> a CSV, TSV, JSON-lines or parquet file, in parts, there whole or not at all."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

from spt.data.reading.csv_rows import csv_options
from spt.data.values import is_missing, is_utf8
from spt.errors import InputError
from spt.storage.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

Records = Sequence[Mapping[str, Any]]
WriteRecords = Callable[[Records], None]
# characters of a value in an error
SHOWN_VALUE = 80


@contextmanager
def writing_table(
    path: Path, delimiter: str = ",", source: Path | None = None, example: Mapping[str, Any] | None = None
) -> Iterator[WriteRecords]:
    """Hand out what writes records to a file in the format of its ending, in order.

    Args:
        path: of the file, which is replaced as the block ends, and stays as it was where that raises.
        delimiter: between the fields of CSV.
        source: a parquet file, whose columns keep their types in parquet.
        example: values of some columns, whose types these have in parquet, whatever the first rows hold.

    Raises:
        InputError: for an ending of none of `FORMATS`, or, as records are written, for what the format cannot
            hold, naming the row.
    """
    make = FORMATS[output_ending(path)]
    with replacing(path) as partial, ExitStack() as stack:
        yield make(_Target(partial, path, delimiter, source, example or {}, stack))


def output_ending(path: Path) -> str:
    """Return the ending of a file to write.

    Raises:
        InputError: if it is none of `FORMATS`.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise InputError(f"The ending of '{path}' is '{ending}', but must be one of {', '.join(FORMATS)}.")
    return ending


class _Target:
    """Name the file to write, and the names and rows that were written to it."""

    def __init__(
        self,
        partial: Path,
        path: Path,
        delimiter: str,
        source: Path | None,
        example: Mapping[str, Any],
        stack: ExitStack,
    ) -> None:
        self.partial = partial
        self.path = path
        self.delimiter = delimiter
        self.source = source
        self.example = example
        self.stack = stack
        self.names: list[str] = []
        self.rows = 0

    def open_text(self) -> TextIO:
        return self.stack.enter_context(self.partial.open("w", encoding="utf-8", newline=""))

    def checked(self, records: Records) -> Iterator[Mapping[str, Any]]:
        """Give records that have the columns of the first one, or fewer; the file has one header."""
        for record in records:
            self.rows += 1
            self.names = self.names or list(record)
            if more := [name for name in record if name not in self.names]:
                raise self.refusal(
                    f"has {', '.join(map(repr, more))}, which row 1 does not have", "Write .jsonl instead."
                )
            yield record

    def refusal(self, problem: str, advice: str) -> InputError:
        return InputError(f"Row {self.rows} cannot be written to '{self.path}': it {problem}. {advice}")


def _csv_writer(target: _Target) -> WriteRecords:
    # with a shorter line end, some versions of Python leave a carriage return in a field without its quotes
    writer = csv.writer(target.open_text(), lineterminator="\r\n", **csv_options(target.delimiter, True))

    def write(records: Records) -> None:
        for record in target.checked(records):
            if target.rows == 1:
                writer.writerow(target.names)
            writer.writerow(_fields(record, target))

    return write


def _tsv_writer(target: _Target) -> WriteRecords:
    file = target.open_text()

    def write(records: Records) -> None:
        for record in target.checked(records):
            fields = _fields(record, target)
            if any(mark in field for field in (*fields, *target.names) for mark in "\t\r\n"):
                raise target.refusal(
                    "has a tab or a line break, and TSV has no quotes for it", "Write .csv instead."
                )
            file.write("\t".join(target.names) + "\n" if target.rows == 1 else "")
            file.write("\t".join(fields) + "\n")

    return write


def _fields(record: Mapping[str, Any], target: _Target) -> list[str]:
    """Return the values of a record as text, in the order of the header; as JSON where they hold others."""
    fields = []
    for name in target.names:
        value = record.get(name)
        if isinstance(value, dict | list):
            value = _as_json(value)
        fields.append("" if value is None else str(value))
    if not all(map(is_utf8, fields)):
        raise target.refusal("has half of a surrogate pair", "Mend or remove the row.")
    return fields


def _json_writer(target: _Target) -> WriteRecords:
    file = target.open_text()

    def write(records: Records) -> None:
        for record in records:
            line = _as_json(record)
            file.write((line if is_utf8(line) else _as_json(record, ensure_ascii=True)) + "\n")

    return write


def _as_json(value: Any, ensure_ascii: bool = False) -> str:
    """Return a value as JSON: what that has no type for, as a date, as text, and NaN as null."""
    try:
        return json.dumps(value, ensure_ascii=ensure_ascii, default=str, allow_nan=False)
    except ValueError:
        finite = _finite(value)
        return json.dumps(finite, ensure_ascii=ensure_ascii, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    """Return a value with None for each NaN and Infinity in it, for which JSON has no other word."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _parquet_writer(target: _Target) -> WriteRecords:
    # takes a while to load, and few files are of this kind
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow.parquet import ParquetWriter  # noqa: PLC0415

    writer: Any = None

    def write(records: Records) -> None:
        nonlocal writer
        rows = list(target.checked(records))
        if not rows:
            return
        try:
            if writer is None:
                writer = ParquetWriter(target.partial, _schema(rows, target))
                target.stack.callback(writer.close)
            table = pa.Table.from_pylist(rows, schema=writer.schema)
            _check_kept(rows, table, target)
            writer.write_table(table)
        except (pa.ArrowException, UnicodeEncodeError) as error:
            raise InputError(
                f"A row from {target.rows - len(rows) + 1} to {target.rows} cannot be written to "
                f"'{target.path}': {error}. Write .jsonl instead, whose columns may hold anything."
            ) from error

    return write


def _schema(rows: Records, target: _Target) -> pa.Schema:
    """Return the columns' types: those of the example or the source, else what the first rows hold."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow.parquet import read_schema  # noqa: PLC0415

    known = read_schema(target.source) if target.source is not None else pa.schema([])
    shown, inferred = (pa.Table.from_pylist(some).schema for some in ([target.example], rows))
    fields = []
    for name in target.names:
        kind = next(schema for schema in (shown, known, inferred) if name in schema.names).field(name).type
        # a column that is empty so far may hold text later
        fields.append(pa.field(name, pa.string() if pa.types.is_null(kind) else kind))
    return pa.schema(fields)


def _check_kept(rows: Records, table: pa.Table, target: _Target) -> None:
    """Refuse a value that its column's type changed: arrow cuts fractions and keys that it has no place for.

    Raises:
        InputError: naming the first row with such a value.
    """
    first = target.rows - len(rows) + 1
    for number, (row, stored) in enumerate(zip(rows, table.to_pylist(), strict=True), start=first):
        if lost := [name for name, value in row.items() if not _is_same(value, stored[name])]:
            kind = table.schema.field(lost[0]).type
            raise InputError(
                f"Row {number} cannot be written to '{target.path}': its '{lost[0]}' is "
                f"{str(row[lost[0]])[:SHOWN_VALUE]}, but the column's type is {kind}, by what the first rows "
                "hold. Write .jsonl instead, whose columns may hold anything."
            )


def _is_same(value: Any, stored: Any) -> bool:
    """Say whether a value is what was stored of it, where keys without a value may have been added."""
    if isinstance(value, Mapping) and isinstance(stored, Mapping):
        return all(_is_same(inner, stored.get(key)) for key, inner in value.items())
    if isinstance(value, list | tuple) and isinstance(stored, list | tuple):
        return len(value) == len(stored) and all(map(_is_same, value, stored))
    # true is equal to 1
    same_kind = isinstance(value, bool) == isinstance(stored, bool)
    return (is_missing(value) and is_missing(stored)) or (same_kind and bool(value == stored))


FORMATS: Mapping[str, Callable[[_Target], WriteRecords]] = MappingProxyType(
    {".csv": _csv_writer, ".tsv": _tsv_writer, ".jsonl": _json_writer, ".parquet": _parquet_writer}
)
