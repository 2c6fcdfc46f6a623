"""The one way to read JSON that this project wrote: checked, bounded, and errors that name the file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from spt.errors import InputError
from spt.sections import problems_of
from spt.storage.files import read_bounded

MAX_BYTES = 64 * 2**20
MAX_NESTING = 32
SHOWN = 5
Kind = TypeVar("Kind")

adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Args:
        path: of the file.
        advice: what to do where the file is damaged, as a sentence.

    Raises:
        InputError: if the file cannot be read, is too large or too deep, or holds something else.
    """
    return json_object(_read(path, advice), f"'{path}'", advice)


def read_json_lines(path: Path, advice: str) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line; a last line that was cut off while it was written is dropped.

    Args:
        path: of the file; one that is not there has no lines.
        advice: what to do where the file is damaged, as a sentence.

    Raises:
        InputError: if the file cannot be read, is too large, or a line is no JSON object.
    """
    if not path.exists():
        return []
    lines = _read(path, advice).split(b"\n")[:-1]
    return [json_object(line, f"Line {number} of '{path}'", advice) for number, line in enumerate(lines, 1)]


def checked(kind: type[Kind], content: Mapping[str, Any], what: str, advice: str) -> Kind:
    """Return the object that a JSON object holds, by the types of its fields.

    Args:
        kind: a dataclass or a pydantic model.
        content: as JSON has it.
        what: the place of the content, to begin an error with: `'runs/a/ledger.json'`.
        advice: what to do where the content is damaged, as a sentence.

    Raises:
        InputError: naming each key that is missing or of a wrong type.
    """
    try:
        result: Kind = adapter(kind).validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise InputError(
            f"{what} is not what this version or an older one writes ({described(error)}). {advice}"
        ) from error
    return result


def described(error: ValidationError) -> str:
    """Return the first problems of content that was checked, each with its key."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems_of(error)[:SHOWN]
    )


def _read(path: Path, advice: str) -> bytes:
    try:
        return read_bounded(path, MAX_BYTES)
    except InputError as error:
        raise InputError(f"'{path}' cannot be read: {error}. {advice}") from error
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}. {advice}") from error


def json_object(text: bytes, what: str, advice: str) -> dict[str, Any]:
    """Return the one JSON object that a text is.

    Args:
        text: as UTF-8.
        what: the place of the text, to begin an error with.
        advice: what to do where the text is damaged, as a sentence.

    Raises:
        InputError: if the text is too deep, or something else.
    """
    try:
        content = json.loads(text.decode("utf-8"), object_pairs_hook=unique_keys)
        if not isinstance(content, dict):
            raise ValueError(f"it holds no JSON object but {type(content).__name__}")
        if is_deeper(content, MAX_NESTING):
            raise ValueError(f"it is nested deeper than {MAX_NESTING} levels")
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{what} is damaged: {reason}. {advice}") from error
    return content


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, of whose keys none may stand there twice; for `object_pairs_hook`.

    Raises:
        ValueError: naming the key that does most often.
    """
    content = dict(pairs)
    if len(content) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"an object has the key '{twice[:40]}' twice")
    return content


def is_deeper(content: Any, levels: int) -> bool:
    """Say whether containers are nested in more levels, without recursion of as many."""
    layer = [content]
    for _ in range(levels):
        layer = [inner for outer in layer for inner in members(outer)]
    return any(isinstance(inner, dict | list) for inner in layer)


def members(outer: Any) -> list[Any]:
    """Return what a list or an object of JSON holds; nothing for a value that is neither."""
    if isinstance(outer, dict):
        return list(outer.values())
    return outer if isinstance(outer, list) else []
