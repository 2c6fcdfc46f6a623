"""Training checkpoints: what goes in comes out, whole or not at all, and no pickle."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from spt.errors import InputError
from spt.storage import tensor_files
from spt.training.checkpoint import SafetensorsCheckpoint, load_state, save_state

keys = st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.none())
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
    ),
    max_leaves=12,
)


def exact(value: Any) -> Any:
    """A value with its types, because True == 1 == 1.0."""
    if isinstance(value, dict):
        return {(type(k), k): exact(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [exact(item) for item in value]
    return type(value), value


@settings(max_examples=25, deadline=None, derandomize=True)
@given(tree=trees)
def test_json_like_values_come_back_with_their_types(
    tree: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "tree.ckpt"
    save_state({"tree": tree}, path)
    assert exact(load_state(path)["tree"]) == exact(tree)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.uint8])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)], ids=str)
def test_tensors_come_back_bit_for_bit(dtype: torch.dtype, shape: tuple[int, ...], tmp_path: Path) -> None:
    tensor = torch.randint(0, 2, shape).to(dtype)
    save_state({"deep": [{"tensor": tensor}]}, tmp_path / "a.ckpt")
    found = load_state(tmp_path / "a.ckpt")["deep"][0]["tensor"]
    assert found.dtype == dtype
    assert torch.equal(found, tensor)


def test_shared_strided_and_special_values_survive(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    special = torch.tensor([float("nan"), float("inf"), -0.0])
    state = {"a": whole, "b": whole, "c": whole.T[1:], "d": special, "e": float("inf"), "f": float("nan")}
    save_state(state, tmp_path / "a.ckpt")
    found = load_state(tmp_path / "a.ckpt")
    assert torch.equal(found["a"], whole)
    assert torch.equal(found["b"], whole)
    assert torch.equal(found["c"], whole.T[1:])
    assert found["d"].view(torch.int32).tolist() == special.view(torch.int32).tolist()
    assert found["e"] == float("inf")
    assert found["f"] != found["f"]


def test_an_optimisers_state_goes_on_where_it_was(tmp_path: Path) -> None:
    def steps(weight: torch.Tensor, optimizer: torch.optim.Optimizer, number: int) -> None:
        for _ in range(number):
            optimizer.zero_grad()
            weight.pow(3).sum().backward()
            optimizer.step()

    whole, part = (torch.nn.Parameter(torch.arange(3.0)) for _ in range(2))
    steps(whole, torch.optim.AdamW([whole], lr=0.1), 5)
    first = torch.optim.AdamW([part], lr=0.1)
    steps(part, first, 3)
    save_state({"optimizer": first.state_dict(), "weight": part}, tmp_path / "a.ckpt")
    loaded = load_state(tmp_path / "a.ckpt")
    second = torch.nn.Parameter(loaded["weight"])
    optimizer = torch.optim.AdamW([second], lr=0.7)
    optimizer.load_state_dict(loaded["optimizer"])
    steps(second, optimizer, 2)
    assert torch.equal(second, whole)


def test_paths_become_text_and_ordered_dicts_plain_ones(tmp_path: Path) -> None:
    save_state({"path": tmp_path, "ordered": OrderedDict(b=1, a=2)}, tmp_path / "a.ckpt")
    assert load_state(tmp_path / "a.ckpt") == {"path": str(tmp_path), "ordered": {"b": 1, "a": 2}}


@pytest.mark.parametrize("value", [object(), {1, 2}, np.float32(1), np.zeros(2), b"x", print, 1j])
def test_other_types_are_refused_and_leave_nothing(value: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=f"cannot hold {type(value).__name__}; use tensors and JSON types"):
        save_state({"deep": [value]}, tmp_path / "a.ckpt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["before", "while"])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ckpt"
    save_state({"step": 1}, path)

    def full(tensors: Any, partial: Path, metadata: Any) -> None:  # noqa: ARG001
        if moment == "while":
            partial.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(tensor_files, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_state({"step": 2}, path)
    assert load_state(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_safetensors_with_json_and_no_pickle(tmp_path: Path) -> None:
    save_state({"weights": {"w": torch.ones(2)}, "epoch": 3}, tmp_path / "new" / "a.ckpt")
    with safe_open(tmp_path / "new" / "a.ckpt", framework="pt") as file:
        assert list(file.keys()) == ["0"]
        state = json.loads(file.metadata()["state"])
    assert state["items"][1] == ["epoch", 3]


def test_lightnings_interface_saves_loads_and_removes(tmp_path: Path) -> None:
    plugin, path = SafetensorsCheckpoint(), tmp_path / "a.ckpt"
    plugin.save_checkpoint({"epoch": 2}, str(path))
    assert plugin.load_checkpoint(str(path)) == {"epoch": 2}
    plugin.remove_checkpoint(str(path))
    plugin.remove_checkpoint(str(path))
    assert not path.exists()


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_no_flipped_byte_changes_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    save_state({"weights": {"w": torch.arange(3.0)}, "epoch": 3}, path)
    whole = path.read_bytes()
    refused = 0
    for at in range(len(whole)):
        path.write_bytes(flipped(whole, at))
        try:
            state = load_state(path)
        except InputError as error:
            refused += 1
            assert f"'{path}' " in str(error)
            assert f"Delete the folder '{tmp_path}'" in str(error)
            continue
        # it was in the padding, or in the name of the checksum
        assert state["epoch"] == 3
        assert torch.equal(state["weights"]["w"], torch.arange(3.0))
    assert refused > len(whole) / 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: flipped(content, len(content) - 1), "is damaged: its checksum is"),
        (lambda content: content[:-3], "cannot be read"),
        (lambda _: b"", "cannot be read"),
    ],
    ids=["flipped", "cut", "empty"],
)
def test_a_damaged_checkpoint_is_refused(
    change: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "best.ckpt"
    save_state({"weights": {"w": torch.arange(3.0)}}, path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=rf"best\.ckpt' {message}.* Delete the folder"):
        load_state(path)


def test_a_missing_checkpoint_and_another_tensor_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"last\.ckpt' cannot be read"):
        load_state(tmp_path / "last.ckpt")
    tensor_files.write_tensors(tmp_path / "last.ckpt", {"w": torch.ones(1)})
    with pytest.raises(InputError, match="is no checkpoint of a training"):
        load_state(tmp_path / "last.ckpt")


def test_a_checkpoint_of_a_version_without_checksums_is_read(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    save_file({}, path, metadata={"state": json.dumps({"items": [["epoch", 3]]})})
    assert load_state(path) == {"epoch": 3}
