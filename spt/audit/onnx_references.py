"""The files that the weights of a graph of ONNX lie in, read without the library and without its tensors."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from spt.errors import InputError

# kind of message -> number of a field -> kind of the message in it, on every way from a model to the place of
# a tensor's weights; by onnx.proto of ONNX
MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
KEY, VALUE, LOCATION = 1, 2, b"location"
# of protobuf's wire format: what a field's bytes are
VARINT, EIGHT_BYTES, SOME_BYTES, FOUR_BYTES = 0, 1, 2, 5
MAX_VARINT_BYTES = 10
# graphs of large models have a few hundred thousand
MAX_FIELDS = 2_000_000
MAX_NESTING = 64
MAX_LOCATION = 4096


class _Message(NamedTuple):
    """Say where in a file a message is, and in how many others."""

    kind: str
    begin: int
    end: int
    level: int


class _Field(NamedTuple):
    number: int
    wire: int
    begin: int
    end: int


def external_files(path: Path) -> list[str]:
    """Return the paths that a graph's tensors are read from, from its folder, each once.

    Raises:
        InputError: if it is no graph, or has more fields, levels or letters of a path than are read.
        OSError: if the file cannot be read.
    """
    if path.stat().st_size == 0:
        raise InputError("is no graph of ONNX: it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return list(dict.fromkeys(_locations(content)))


def _locations(content: mmap.mmap) -> Iterator[str]:
    waiting, fields = [_Message("model", 0, len(content), 0)], 0
    while waiting:
        message = waiting.pop()
        if message.level > MAX_NESTING:
            raise InputError(f"is nested deeper than {MAX_NESTING} levels")
        entry: dict[int, bytes] = {}
        for field in _fields(content, message.begin, message.end):
            fields += 1
            if fields > MAX_FIELDS:
                raise InputError(f"has more than {MAX_FIELDS:,} fields, the most that are read")
            if field.wire != SOME_BYTES:
                continue
            if inner := MESSAGES[message.kind].get(field.number):
                waiting.append(_Message(inner, field.begin, field.end, message.level + 1))
            elif message.kind == "entry":
                entry[field.number] = content[field.begin : min(field.end, field.begin + MAX_LOCATION + 1)]
        if entry.get(KEY) == LOCATION:
            yield _text(entry.get(VALUE, b""))


def _fields(content: mmap.mmap, begin: int, end: int) -> Iterator[_Field]:
    """Yield the fields of a message, without what is in them."""
    while begin < end:
        tag, begin = _varint(content, begin, end)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            _, after = _varint(content, begin, end)
        elif wire == SOME_BYTES:
            size, begin = _varint(content, begin, end)
            after = begin + size
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            after = begin + (8 if wire == EIGHT_BYTES else 4)
        else:
            raise InputError(f"is no graph of ONNX: byte {begin - 1:,} begins no field")
        if after > end:
            raise InputError(f"is no graph of ONNX: a field ends {after - end:,} bytes behind what it is in")
        yield _Field(number, wire, begin, after)
        begin = after


def _varint(content: mmap.mmap, begin: int, end: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for place, byte in enumerate(content[begin : min(end, begin + MAX_VARINT_BYTES)]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, begin + place + 1
    raise InputError(f"is no graph of ONNX: byte {begin:,} begins no number")


def _text(value: bytes) -> str:
    if len(value) > MAX_LOCATION:
        raise InputError(f"has weights in a path of more than {MAX_LOCATION:,} bytes")
    return value.decode("utf-8", errors="backslashreplace")
