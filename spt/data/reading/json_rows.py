"""One file of JSON objects -> a raw table; every value stays what was written."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from spt.data.reading.json_objects import json_objects
from spt.data.reading.raw_table import RawTable
from spt.errors import InputError


def read_json(path: Path, encoding: str, columns: Collection[str]) -> RawTable:
    """Read one object a line, or one list of objects.

    Args:
        path: of the file.
        encoding: of its text.
        columns: to read; of others the names alone are kept.

    Raises:
        InputError: naming the line, for what is not JSON, no object, or nested too deeply.
    """
    values: dict[str, list[Any]] = {name: [] for name in columns}
    names: dict[str, None] = {}
    with path.open(encoding=encoding, newline="\n") as stream:
        rows = 0
        for row in json_objects(stream, path):
            rows += 1
            names |= dict.fromkeys(row)
            for name, column in values.items():
                column.append(row.get(name))
    if not rows:
        raise InputError(f"The data file {path} has no rows.")
    if rows == 1 and all(isinstance(value, (dict, list)) for value in row.values()):
        raise InputError(
            f"{path} is one JSON object with {len(row)} keys. "
            "Write a list of objects, or one object a line, each with the row's columns."
        )
    read = {name: column for name, column in values.items() if name in names}
    return RawTable(read, unread=tuple(name for name in names if name not in read))
