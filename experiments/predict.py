"""Texts to predict, read from lines: plain, with a tab between the two of a pair, or JSON."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from spt.errors import InputError

Row = tuple[str, ...]


def read_rows(lines: Iterable[bytes], pairs: bool) -> Iterator[Row]:
    """One (text,) or (text, text_pair) a line, as the lines come.

    Args:
        lines: UTF-8; JSON throughout if the first line is an object with the key "text".
        pairs: whether a row has two texts.

    Raises:
        InputError: at the first line that cannot be read, naming it.
    """
    as_json = False
    for number, raw in enumerate(lines, start=1):
        where = f"Line {number}"
        line = _decoded(raw, where)
        if number == 1:
            as_json = _is_json_row(line)
        row = _from_json(line, pairs, where) if as_json else _from_text(line, pairs, where)
        if not all(text.strip() for text in row):
            raise InputError(f"{where}: the text is empty. Give each line a text.")
        yield row


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8").removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 ({error}). Convert the input to UTF-8.") from error


def _is_json_row(line: str) -> bool:
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and "text" in row


def _from_json(line: str, pairs: bool, where: str) -> Row:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error}), but the first line is.") from error
    keys = ("text", "text_pair") if pairs else ("text",)
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in keys):
        raise InputError(f"{where}: must be a JSON object with text under {' and '.join(map(repr, keys))}.")
    if not pairs and row.get("text_pair") is not None:
        raise InputError(f"{where}: has a 'text_pair', but the model's task has one text a row.")
    return tuple(row[key] for key in keys)


def _from_text(line: str, pairs: bool, where: str) -> Row:
    if not pairs:
        return (line,)
    row = tuple(line.split("\t"))
    if len(row) != 2:
        raise InputError(
            f"{where}: the model's task has two texts a row, with one tab between them, "
            f"but this line has {len(row) - 1} tabs."
        )
    return row
