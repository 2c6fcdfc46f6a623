"""The objects of a JSON file, one after the other; every value stays what was written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spt.errors import InputError
from spt.storage.json_files import unique_keys

# longer numbers are no labels, and Python may refuse to read them
LONGEST_NUMBER = 400


def json_objects(lines: Iterable[str], path: Path) -> Iterator[dict[str, Any]]:
    """Yield the object of each line as the lines come, or those of one list, which is read as a whole.

    Args:
        lines: of the file; blank ones are left out.
        path: names the file in errors.

    Raises:
        InputError: naming the line, for what is not JSON, no object, or nested too deeply.
    """
    for where, value in _values(lines, path):
        if not isinstance(value, dict):
            raise _refusal(path, f"{where} is {_kind(value)}, but must be an object")
        yield value


def parse_json(text: str) -> Any:
    """Return the value of JSON text, in which every value stays what was written.

    Raises:
        ValueError: for what is not JSON, a key that an object has twice, or a number of too many digits.
        RecursionError: for what is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=unique_keys, parse_int=_number)


def _values(lines: Iterable[str], path: Path) -> Iterator[tuple[str, Any]]:
    """Give what each line holds, or each item of a list, and how to call its place."""
    first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if first and line.lstrip().startswith("["):
            text = line + "".join(lines)
            items = _decoded(text, path, f"the list that starts in line {number}")
            yield from ((f"item {position}", item) for position, item in enumerate(items, start=1))
            return
        first = False
        yield f"line {number}", _decoded(line, path, f"line {number}")


def _decoded(text: str, path: Path, where: str) -> Any:
    try:
        return parse_json(text)
    except RecursionError:
        raise _refusal(path, f"{where} is nested too deeply") from None
    except ValueError as error:
        raise _refusal(path, f"{where} cannot be read ({error})") from error


def _number(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number has {len(digits)} digits, but may have {LONGEST_NUMBER}")
    return int(digits)


def _kind(value: Any) -> str:
    kinds = {type(None): "null", list: "a list", str: "a text", bool: "true or false"}
    return kinds.get(type(value), "a number")


def _refusal(path: Path, problem: str) -> InputError:
    return InputError(
        f"Cannot read {path} as json: {problem}. Write one object a line, or a list of objects. "
        "Check data.format, or the ending of the file."
    )
