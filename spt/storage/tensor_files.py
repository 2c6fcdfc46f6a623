"""Tensor files of ours: safetensors with a checksum in the header, there whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spt.errors import InputError
from spt.storage.digests import json_digest
from spt.storage.files import replacing

CHECKSUM = "checksum"
# numbers that are looked at together
PART = 1 << 22


class TensorFile(NamedTuple):
    """Hold the tensors of a file by name, and the texts of its header by key."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the digest of tensors, their names and their dtypes, in the mapping's order."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Name the tensors that hold a NaN or an infinity."""
    return [name for name, tensor in tensors.items() if not _is_finite(tensor)]


def _is_finite(tensor: Tensor) -> bool:
    """Look at a tensor in parts: of all its words at once it would take the embedding's memory twice over."""
    return all(bool(torch.isfinite(part).all()) for part in tensor.reshape(-1).split(PART))


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors by name, with texts in the header, to a file, all or nothing, as `replacing` does.

    Raises:
        OSError: of the disk, naming the file.
    """
    texts = dict(metadata or {})
    with replacing(path) as partial:
        try:
            save_file(dict(tensors), partial, metadata={**texts, CHECKSUM: _checksum(tensors, texts)})
        except SafetensorError as error:
            # the library's own name for a full disk
            raise OSError(f"'{path}' cannot be written: {error}") from error


def read_tensors(path: Path, advice: str) -> TensorFile:
    """Read what `write_tensors` wrote, or an older version without a checksum.

    Args:
        path: of the file.
        advice: what to do about a damaged file.

    Raises:
        InputError: with the advice, if the file is missing, cannot be read, or is not as it was written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            texts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"'{path}' cannot be read ({error}). {advice}") from error
    written = texts.pop(CHECKSUM, None)
    if written is not None and written != (now := _checksum(tensors, texts)):
        raise InputError(
            f"'{path}' is damaged: its checksum is {now}, but it was written with {written}. {advice}"
        )
    return TensorFile(tensors, texts)


def _checksum(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    # a file does not keep the order
    in_order = {name: tensors[name] for name in sorted(tensors)}
    shapes = {name: list(tensor.shape) for name, tensor in in_order.items()}
    return json_digest([dict(texts), shapes, tensors_digest(in_order)])
