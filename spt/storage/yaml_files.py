"""The one way to read YAML: bounded, each key once, and no word that YAML takes for a number or a date.

A whole number as a key, of a layer or a class, is its text.

That YAML takes no, off, yes and on for false and true is told where they are no switch, by `ConfigSection`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from spt.errors import InputError

MAX_BYTES = 2**20
MAX_NESTING = 32
# references let a short text stand for more values than any memory holds
MAX_VALUES = 200_000
MAX_DIGITS = 400
SHOWN = 60
_TOO_DEEP = f"it is nested deeper than {MAX_NESTING} levels"

_TAG = "tag:yaml.org,2002:"
_KINDS = {
    f"{_TAG}{name}": kind
    for name, kind in {
        "float": "a number",
        "int": "a number",
        "null": "nothing",
        "timestamp": "a date",
    }.items()
}
_READ = {f"{_TAG}{name}" for name in ("bool", "float", "int", "map", "merge", "null", "seq", "str")}
# what of each kind nobody means as text: the rest is 017 and 0x1F, 1:30 and 1_000, and dates
_UNMISTAKABLE = {
    f"{_TAG}int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    f"{_TAG}float": re.compile(
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?|[-+]?\.inf|\.nan", re.IGNORECASE
    ),
    f"{_TAG}null": re.compile(r"|~|null", re.IGNORECASE),
}
# written in one way only, so that each has one text
_NUMBER_AS_KEY = re.compile(r"0|-?[1-9][0-9]*")


def read_yaml(path: Path, kind: str) -> Any:
    """Read a YAML file of one document.

    Args:
        path: of the file.
        kind: what the file is, for errors: `config`.

    Raises:
        InputError: naming the file, if it cannot be read or is too large, or all that is wrong in it, as
            `parse_yaml` does.
    """
    try:
        # a pipe is no file to read_bounded, but good enough to hand a configuration over
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(
                f"The {kind} '{path}' cannot be read: it has more than {MAX_BYTES:,} bytes, the most that is "
                "read of YAML."
            )
        text = content.decode("utf-8")
    except OSError as error:
        raise InputError(f"The {kind} '{path}' cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The {kind} '{path}' cannot be read: it is not UTF-8 ({error}).") from error
    try:
        return parse_yaml(text)
    except InputError as error:
        raise InputError(f"The {kind} '{path}' cannot be read: {error}") from error


def parse_yaml(text: str) -> Any:
    """Return what a YAML text of one document holds.

    Raises:
        InputError: naming every line that repeats a key, has a key that is no text and no whole number, or
            has a word without quotes that YAML takes for a date or a number of base 8, 16 or 60; or for what
            is no YAML, too deep or too large.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        if problems := list(dict.fromkeys(_problems(node))):
            raise ValueError("\n  ".join(["", *problems]))
        return _constructed(loader, node)
    except RecursionError as error:
        raise InputError(_TOO_DEEP) from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(str(error)) from error


class _Loader(yaml.SafeLoader):
    """Read keys that are whole numbers as their text."""

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        # in place, because references are to this node; a key may itself be referred to as a value
        node.value[:] = [(_as_text(key), value) for key, value in node.value]
        return node


def _as_text(key: Node) -> Node:
    """Return the key of a whole number, without quotes or a tag of its own, as one of text; others as is."""
    is_number = isinstance(key, ScalarNode) and key.style is None and key.tag == f"{_TAG}int"
    if not is_number or not _NUMBER_AS_KEY.fullmatch(key.value):
        return key
    return ScalarNode(f"{_TAG}str", key.value, key.start_mark, key.end_mark)


def _constructed(loader: yaml.SafeLoader, node: Node) -> Any:
    """Return what a document's nodes hold."""
    try:
        return loader.construct_document(node)
    except (ValueError, LookupError, TypeError) as error:
        # PyYAML lets errors of values with a wrong tag through
        raise InputError("a value is not of the kind that its tag says, as !!int; remove the tag") from error


class _Extent(NamedTuple):
    """Hold how many values a node stands for, references resolved, and in how many levels."""

    values: int
    levels: int


def _measure(node: Node, extents: dict[int, _Extent | None]) -> _Extent:
    """Return the extent of a node, and refuse one that no memory holds.

    Args:
        node: of a document.
        extents: of nodes measured before, by identity; None for those that are being measured.
    """
    if id(node) in extents:
        extent = extents[id(node)]
        if extent is None:
            raise ValueError(f"{_place(node)}: a value holds itself")
        return extent
    extents[id(node)] = None
    inner = [_measure(part, extents) for part in _parts(node)]
    extent = _Extent(
        1 + sum(part.values for part in inner), 1 + max((part.levels for part in inner), default=0)
    )
    if extent.values > MAX_VALUES:
        raise ValueError(f"it holds more than {MAX_VALUES:,} values, references resolved")
    if extent.levels > MAX_NESTING:
        raise ValueError(_TOO_DEEP)
    extents[id(node)] = extent
    return extent


def _parts(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, SequenceNode) else []


def _problems(node: Node) -> Iterator[str]:
    """Say what is wrong with each node, in the order of the lines; nodes with references to them once."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ScalarNode):
            yield from _word_problems(node)
        elif node.tag not in _READ:
            yield f"{_place(node)}: the tag {node.tag} is not read; remove it"
        if isinstance(node, MappingNode):
            yield from _key_problems(node)
        waiting.extend(reversed(_parts(node)))


def _word_problems(node: ScalarNode) -> Iterator[str]:
    """Say what a scalar is taken for that may be meant as text."""
    word = node.value if len(node.value) <= SHOWN else f"{node.value[:SHOWN]}…"
    plain = node.style is None
    if node.tag not in _KINDS and node.tag not in _READ:
        yield f"{_place(node)}: the tag {node.tag} of '{word}' is not read; put text in quotes"
    elif plain and node.tag == f"{_TAG}int" and len(node.value) > MAX_DIGITS:
        yield f"{_place(node)}: a number has {len(node.value):,} digits, but may have {MAX_DIGITS}"
    elif plain and node.tag in _KINDS and not _is_unmistakable(node):
        yield f"{_place(node)}: {word} is {_KINDS[node.tag]} in YAML; put it in quotes, or write it plainly"


def _is_unmistakable(node: ScalarNode) -> bool:
    pattern = _UNMISTAKABLE.get(node.tag)
    return pattern is not None and pattern.fullmatch(node.value) is not None


def _key_problems(node: MappingNode) -> Iterator[str]:
    """Say which keys are there twice, with both places, and which are no text."""
    first: dict[str, ScalarNode] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode) or key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
            shown = f" {key.value[:SHOWN]}" if isinstance(key, ScalarNode) else ""
            yield f"{_place(key)}: the key{shown} is no text; put it in quotes"
        elif key.value in first:
            yield (
                f"{_place(key)}: the key '{key.value[:SHOWN]}' is there twice, "
                f"first in {_place(first[key.value])}; keep one"
            )
        else:
            first[key.value] = key


def _place(node: Node) -> str:
    return f"line {node.start_mark.line + 1}"
