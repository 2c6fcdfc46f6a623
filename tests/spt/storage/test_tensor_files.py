"""A tensor file of ours is refused where a byte of it changed; one of an older version is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spt.errors import InputError
from spt.storage.tensor_files import read_tensors, write_tensors

TENSORS = {
    "empty": torch.zeros(0, 3),
    "one": torch.tensor(1.5),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "part": torch.arange(12.0).reshape(3, 4),
    "yes": torch.tensor([True, False]),
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, TENSORS, {"state": "7"})
    read = read_tensors(path, "Delete it.")
    assert read.metadata == {"state": "7"}
    assert read.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(read.tensors[name], tensor) for name, tensor in TENSORS.items())


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, TENSORS, {"state": "7"})
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for place in [8, content.index(b'"7"') + 1, *range(start, len(content))]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(InputError, match=r"a\.safetensors' (is damaged|cannot be read).*Delete it\."):
            read_tensors(path, "Delete it.")
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"a\.safetensors' cannot be read"):
        read_tensors(path, "Delete it.")


def test_a_file_without_a_digest_is_read_as_it_is(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "old.safetensors")
    assert read_tensors(tmp_path / "old.safetensors", "Delete it.").tensors["a"].tolist() == [1, 1]
