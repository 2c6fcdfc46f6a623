"""Training checkpoints as one safetensors file, written atomically: no pickle in, no pickle out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from spt.errors import InputError
from spt.storage.tensor_files import read_tensors, write_tensors

_KEY = "state"


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return JSON for `value`; its tensors go to `tensors` and leave a reference behind."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().contiguous().cpu().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"items": [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_pack(item, tensors) for item in value], "tuple": isinstance(value, tuple)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, os.PathLike):
        return str(value)
    raise TypeError(f"A checkpoint cannot hold {type(value).__name__}; use tensors and JSON types.")


def _unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "items" in value:
        return {_unpack(k, tensors): _unpack(v, tensors) for k, v in value["items"]}
    items = [_unpack(item, tensors) for item in value["list"]]
    return tuple(items) if value["tuple"] else items


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write nested dicts, lists, tensors and JSON values to one file, all or nothing."""
    tensors: dict[str, Tensor] = {}
    packed = json.dumps(_pack(state, tensors))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors, {_KEY: packed})


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote.

    Raises:
        InputError: if the file is missing, or is not as it was written.
    """
    advice = f"Delete the folder '{path.parent}', and the same command trains it again."
    tensors, texts = read_tensors(path, advice)
    try:
        state: dict[str, Any] = _unpack(json.loads(texts[_KEY]), tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"'{path}' is no checkpoint of a training. {advice}") from error
    return state


class SafetensorsCheckpoint(CheckpointIO):
    """Write and read Lightning's checkpoints by `save_state` and `load_state`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        save_state(checkpoint, Path(path))

    def load_checkpoint(
        self,
        path: Any,
        map_location: Any = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        return load_state(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)
