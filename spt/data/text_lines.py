"""The texts of lines: plain, with a tab between the two texts of a pair, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from spt.data.text_columns import GENERAL, text_columns
from spt.data.values import is_utf8
from spt.errors import InputError
from spt.tasks import Task

Row = tuple[str, ...]


def read_line_texts(lines: Iterable[bytes], task: Task) -> Iterator[Row]:
    """Yield one (text,) or (text, text_pair) a line, as the lines come.

    Args:
        lines: UTF-8; JSON throughout if the first line is an object.
        task: says whether a row has two texts, and their keys in JSON; `text_columns` says what else they may
            be called.

    Raises:
        InputError: at the first line that cannot be read, naming it.
    """
    keys: Row | None = None
    for number, raw in enumerate(lines, start=1):
        where = f"Line {number}"
        line = _decoded(raw, where)
        if number == 1:
            keys = _json_keys(line, task, where)
        row = _from_text(line, task, where) if keys is None else _from_json(line, keys, where)
        if not all(text.strip() for text in row):
            raise InputError(f"{where}: the text is empty. Give each line a text.")
        if not all(map(is_utf8, row)):
            raise InputError(f"{where}: the text holds half of a surrogate pair. Mend or remove the line.")
        yield row


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8").removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 ({error}). Convert the input to UTF-8.") from error


def _json_keys(line: str, task: Task, where: str) -> Row | None:
    """Return the keys of the texts if the first line is an object; None where lines are texts themselves."""
    try:
        row = _parsed(line, where)
    except json.JSONDecodeError:
        return None
    return text_columns(row, task, f"{where} is a JSON object: it") if isinstance(row, dict) else None


def _parsed(line: str, where: str) -> Any:
    try:
        # no number is needed, and Python refuses to read very long ones as whole ones
        return json.loads(line, parse_int=float)
    except RecursionError:
        raise InputError(
            f"{where}: nested too deeply. Give one text a line, or a JSON object with it."
        ) from None


def _from_json(line: str, keys: Row, where: str) -> Row:
    try:
        row = _parsed(line, where)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error}), but the first line is.") from error
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in keys):
        raise InputError(f"{where}: must be a JSON object with text under {' and '.join(map(repr, keys))}.")
    if keys == GENERAL[:1] and row.get(GENERAL[1]) is not None:
        raise InputError(f"{where}: has a '{GENERAL[1]}', but the model's task has one text a row.")
    return tuple(row[key] for key in keys)


def _from_text(line: str, task: Task, where: str) -> Row:
    if task.text_pair is None:
        return (line,)
    row = tuple(line.split("\t"))
    if len(row) != 2:
        raise InputError(
            f"{where}: the model's task has two texts a row, with one tab between them, "
            f"but this line has {len(row) - 1} tabs."
        )
    return row
