"""The header of a safetensors file, read without the library and without its tensors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from spt.errors import InputError
from spt.storage.json_files import unique_keys

# a file begins with its header's length, a little-endian integer of so many bytes
LENGTH = 8
# of 80,000 tensors; Python's objects take 25 times as much, and safetensors itself reads 100 MB
MAX_HEADER = 10_000_000
# the bound of safetensors itself
MAX_NUMBER = 2**64 - 1
BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}


@dataclass(frozen=True)
class TensorEntry:
    """Describe one tensor of a file: its name, its type as safetensors calls it, and its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        """Return how many numbers the tensor has."""
        return math.prod(self.shape)


class _Span(NamedTuple):
    """Say where a tensor's bytes begin and end, behind the header."""

    begin: int
    end: int
    tensor: TensorEntry


def read_header(path: Path) -> list[TensorEntry]:
    """Return the tensors of a safetensors file by name, after checking that they fill the file.

    Raises:
        InputError: if the header is cut, too large, or not of tensors, or another size follows it.
        OSError: if the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        if size < LENGTH or size < LENGTH + length:
            raise InputError(f"ends inside its header: {size:,} bytes of {LENGTH + length:,}")
        if length > MAX_HEADER:
            raise InputError(
                f"has a header of {length:,} bytes, but at most {MAX_HEADER:,} are read; "
                "save its tensors in several files"
            )
        text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique_keys)
        spans = [_span(name, entry) for name, entry in header.items() if name != "__metadata__"]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error!s:.80}"
        raise InputError(f"has a header that does not describe tensors ({reason})") from error
    _check_places(spans, size - LENGTH - length)
    return sorted((span.tensor for span in spans), key=lambda tensor: tensor.name)


def _span(name: str, entry: dict[str, Any]) -> _Span:
    begin, end = entry["data_offsets"]
    tensor = TensorEntry(name, entry["dtype"], tuple(entry["shape"]))
    if not all(type(number) is int and 0 <= number <= MAX_NUMBER for number in (begin, end, *tensor.shape)):
        raise ValueError("a place or a shape is not of whole numbers from 0")
    if bounded_product(tensor.shape) * BITS[tensor.dtype] != 8 * (end - begin):
        raise ValueError("a tensor has another size than its shape and type give")
    return _Span(begin, end, tensor)


def bounded_product(factors: Iterable[int]) -> int:
    """Return the product of numbers, of which no part may be above `MAX_NUMBER`.

    A product of very many would else grow with each of them, and take the square of their number in time.

    Raises:
        ValueError: at the first factor that takes it above.
    """
    product = 1
    for factor in factors:
        product *= factor
        if product > MAX_NUMBER:
            raise ValueError("a tensor has more numbers than there can be")
    return product


def _check_places(spans: list[_Span], size: int) -> None:
    """Refuse tensors that overlap, leave holes, or end elsewhere than the file."""
    end = 0
    for span in sorted(spans, key=lambda span: (span.begin, span.end)):
        if span.begin != end:
            raise InputError("has tensors that overlap or leave bytes between them")
        end = span.end
    if end != size:
        raise InputError(f"holds {size:,} bytes of tensors, but its header says {end:,}")
