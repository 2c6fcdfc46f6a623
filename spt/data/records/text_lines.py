"""The records of lines: plain texts, with a tab between the two texts of a pair, or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from spt.data.reading.csv_rows import DELIMITERS
from spt.data.reading.json_objects import parse_json
from spt.data.records.text_columns import GENERAL, HEAD, has_texts, text_columns
from spt.data.records.text_record import TextRecord
from spt.data.values import is_missing, is_utf8
from spt.errors import InputError
from spt.tasks import Task

# of a list, or of an object that goes on in the next line
_BEGUN_JSON = re.compile(r'\[$|\[?\s*\{\s*(?:$|"[^"]*"\s*:)')


def read_lines(lines: Iterable[bytes], task: Task) -> Iterator[TextRecord]:
    """Yield the record of each line, as the lines come; the columns of a plain text are those of the task.

    Args:
        lines: UTF-8; JSON throughout if the first one that is not blank is an object, and then blank ones are
            no records.
        task: says whether a row has two texts, and their keys in JSON; `text_columns` says what else they may
            be called.

    Raises:
        InputError: at the first line that cannot be read, or that is the header of a table or begins a list
            of JSON, naming it; or if none of the first `HEAD` objects has the keys.
    """
    placed = _placed(lines)
    head = _to_first_filled(placed)
    keys = _json_keys(head, placed, task) if head else None
    for where, line in chain(head, placed):
        if keys is not None and is_missing(line):
            continue
        record = _from_text(line, task, where) if keys is None else _from_json(line, keys, where)
        if record.texts is not None and not all(map(is_utf8, record.texts)):
            raise InputError(f"{where}: the text holds half of a surrogate pair. Mend or remove the line.")
        yield record


def _placed(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Give each line with the name of its place."""
    for number, raw in enumerate(_parted(lines), start=1):
        where = f"Line {number}"
        yield where, _decoded(raw, where)


def _parted(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Give each line; of a file with carriage returns and no other line ends, what stands between them."""
    for number, raw in enumerate(lines):
        if number == 0 and not raw.endswith(b"\n"):
            yield from raw.removesuffix(b"\r").split(b"\r")
        else:
            yield raw


def _to_first_filled(placed: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    """Take the lines up to the first that is not blank, which is the last of them."""
    head = []
    for where, line in placed:
        head.append((where, line))
        if not is_missing(line):
            break
    return head


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8").removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 ({error}). Convert the input to UTF-8.") from error


def _json_keys(
    head: list[tuple[str, str]], placed: Iterator[tuple[str, str]], task: Task
) -> tuple[str, ...] | None:
    """Return the keys of the texts if the first line is an object; None where lines are texts themselves.

    Args:
        head: ends with that line, and then with those that were read up to the first that has the keys.
        placed: the lines behind it.
        task: names the keys.

    Raises:
        InputError: if there are objects without these keys, or nothing that should get an answer.
    """
    where, line = head[-1]
    first = _object(line, where)
    if first is None:
        _check_no_json(line, task, where)
        _check_no_header(line, task, where)
        return None
    row = _first_with_texts(first, head, placed, task)
    return text_columns(row, task, f"{where} is a JSON object: it")


def _first_with_texts(
    first: dict[str, Any], head: list[tuple[str, str]], placed: Iterator[tuple[str, str]], task: Task
) -> dict[str, Any]:
    """Return the first object that has the keys, adding the lines up to it to the head; else the first."""
    if has_texts(first, task):
        return first
    for where, line in islice(placed, HEAD - 1):
        head.append((where, line))
        row = _object(line, where)
        if row is not None and has_texts(row, task):
            return row
        if row is None and not is_missing(line):
            break
    return first


def _object(line: str, where: str) -> dict[str, Any] | None:
    """Return the JSON object of a line; None where it is something else."""
    try:
        row = _parsed(line, where)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def _check_no_json(line: str, task: Task, where: str) -> None:
    """Refuse JSON over several lines or in a list, each line of which would get an answer as a text."""
    if _BEGUN_JSON.match(line.strip()):
        raise InputError(
            f"{where} begins JSON that is not one object a line. Write one object a line, or give a list of "
            f"objects as a file that ends in .json. {_as_json_text(task)}"
        )


def _check_no_header(line: str, task: Task, where: str) -> None:
    """Refuse the header of a table, which would get an answer as every row below it would.

    Fields of a header have no space around them, as those of a sentence have behind its commas.
    """
    for delimiter in DELIMITERS.values():
        fields = [field.strip('"') for field in line.split(delimiter)]
        is_prose = any(field != field.strip() for field in fields)
        if not is_prose and has_texts(fields, task):
            raise InputError(
                f"{where} is the header of a table, with the columns {', '.join(fields)}. Give it as a file "
                f"that ends in .csv or .tsv, which is read by its columns. {_as_json_text(task)}"
            )


def _as_json_text(task: Task) -> str:
    """Return the advice how a text is given that looks like something else."""
    example = json.dumps(dict.fromkeys(task.text_fields, "…"), ensure_ascii=False)
    return f"If it is a text, give JSON lines, as {example}."


def _parsed(line: str, where: str) -> Any:
    try:
        return parse_json(line)
    except RecursionError:
        raise InputError(
            f"{where}: nested too deeply. Give one text a line, or a JSON object with it."
        ) from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise InputError(f"{where}: {error}. Mend or remove the line.") from error


def _from_json(line: str, keys: tuple[str, ...], where: str) -> TextRecord:
    try:
        row = _parsed(line, where)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error}), but the first line is.") from error
    texts = [row.get(key) for key in keys] if isinstance(row, dict) else [row]
    if not isinstance(row, dict) or not all(isinstance(text, str) or is_missing(text) for text in texts):
        raise InputError(f"{where}: must be a JSON object with text under {' and '.join(map(repr, keys))}.")
    if keys == GENERAL[:1] and row.get(GENERAL[1]) is not None:
        raise InputError(f"{where}: has a '{GENERAL[1]}', but the model's task has one text a row.")
    return TextRecord(_complete(texts), row)


def _from_text(line: str, task: Task, where: str) -> TextRecord:
    columns = task.text_fields
    if is_missing(line):
        return TextRecord(None, dict(zip(columns, line.split("\t"), strict=False)))
    texts = line.split("\t") if task.paired else [line]
    if len(texts) != len(columns):
        raise InputError(
            f"{where}: the model's task has two texts a row, with one tab between them, "
            f"but this line has {len(texts) - 1} tabs."
        )
    return TextRecord(_complete(texts), dict(zip(columns, texts, strict=True)))


def _complete(texts: Sequence[Any]) -> tuple[str, ...] | None:
    """Return texts as every model reads them; None if one is missing."""
    return None if any(map(is_missing, texts)) else tuple(text.strip() for text in texts)
