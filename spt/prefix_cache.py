"""Frozen hidden states at the first prompt layer, computed once a data set and kept on disk or in memory.

Below the first prompt nothing depends on what trains, and the backbone never drops out, so these states are
the same in every epoch, trial and process. Source: Late Prompt Tuning's economy (arXiv 2210.11292).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from filelock import FileLock
from lightning_fabric.utilities import move_data_to_device
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from spt.assets import cache_folder
from spt.data import Example, make_loader
from spt.model import PromptedModel

CacheMode = Literal["auto", "memory", "disk", "off"]
LIMIT = 8 * 2**30
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrefixCache:
    """Where prefixes are kept.

    Args:
        mode: `disk` shares files between processes, memory-mapped; `memory` keeps them in this process;
            `auto` is `disk` where the states fit into `limit`, else `off`.
        folder: of the files.
        limit: bytes of all files together; the ones unused longest go first.
    """

    mode: CacheMode = "auto"
    folder: Path | None = None
    limit: int = LIMIT

    def extend(
        self,
        examples: Sequence[Example],
        model: PromptedModel,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int,
    ) -> list[Example]:
        """The examples with their hidden states at the model's first prompt layer, where that saves work.

        Returns:
            New examples with `prefix` [T, H] and `prefix_layer`; the same ones where the mode is off, where
            the first prompt is at layer 0 (embedding is cheaper than reading), or where they pass the limit.
        """
        layer = model.first_prompt_layer
        size = _bytes(examples, model)
        if self.mode == "off" or layer == 0 or not examples or (self.mode != "memory" and size > self.limit):
            return list(examples)
        if self.mode == "memory":
            states = _compute(examples, model, tokenizer, batch_size)
        else:
            states = self._from_disk(examples, model, tokenizer, batch_size)
        parts = torch.split(states, [len(example["input_ids"]) for example in examples])
        return [
            Example(**example, prefix=part, prefix_layer=layer)
            for example, part in zip(examples, parts, strict=True)
        ]

    def _from_disk(
        self,
        examples: Sequence[Example],
        model: PromptedModel,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int,
    ) -> Tensor:
        folder = self.folder or cache_folder() / "prefixes"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{key(examples, model)}.safetensors"
        with FileLock(path.with_suffix(".lock")):
            states = _read(path)
            if states is None:
                _write(path, _compute(examples, model, tokenizer, batch_size))
                states = _read(path)
        assert states is not None
        os.utime(path)
        _evict(folder, self.limit, keep=path)
        return states


def key(examples: Sequence[Example], model: PromptedModel) -> str:
    """A name that changes with the tokens, the layer, and the weights and settings below it."""
    digest = hashlib.blake2b(digest_size=20)
    backbone = model.backbone
    settings = backbone.model.config.to_json_string()
    digest.update(f"{model.first_prompt_layer} {backbone.fingerprint} {settings}".encode())
    for example in examples:
        digest.update(np.asarray(example["input_ids"], dtype=np.int64).tobytes() + b";")
        digest.update(np.asarray(example.get("token_type_ids", []), dtype=np.int64).tobytes() + b".")
    return digest.hexdigest()


def _bytes(examples: Sequence[Example], model: PromptedModel) -> int:
    tokens = sum(len(example["input_ids"]) for example in examples)
    return tokens * model.backbone.hidden_size * model.backbone.dtype.itemsize


def _compute(
    examples: Sequence[Example], model: PromptedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> Tensor:
    """States [total tokens, H], the examples' real tokens in order."""
    lengths = [len(example["input_ids"]) for example in examples]
    starts = np.cumsum([0, *lengths])
    states = torch.empty(sum(lengths), model.backbone.hidden_size, dtype=model.backbone.dtype)
    position = {example["row"]: index for index, example in enumerate(examples)}
    for batch in make_loader(list(examples), tokenizer, batch_size):
        hidden = model.prefix(move_data_to_device(batch, model.backbone.device)).cpu()
        for row, state, mask in zip(batch["rows"].tolist(), hidden, batch["attention_mask"], strict=True):
            index = position[row]
            states[starts[index] : starts[index + 1]] = state[mask.bool()]
    return states


def _checksum(states: Tensor) -> str:
    return hashlib.blake2b(states.numpy().data, digest_size=16).hexdigest()


def _write(path: Path, states: Tensor) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")
    save_file({"states": states}, partial, metadata={"checksum": _checksum(states)})
    partial.replace(path)


def _read(path: Path) -> Tensor | None:
    """The states, memory-mapped; None where the file is missing or damaged."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            states: Tensor = file.get_tensor("states")
            if _checksum(states) == (file.metadata() or {}).get("checksum"):
                return states
    except (OSError, SafetensorError) as error:
        log.warning("the cached prefix %s cannot be read (%s) and is made again", path.name, error)
        return None
    log.warning("the cached prefix %s is damaged and is made again", path.name)
    return None


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    for path in folder.glob("*.safetensors"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        yield status.st_mtime, status.st_size, path


def _evict(folder: Path, limit: int, keep: Path) -> None:
    """Remove the files unused longest until the rest fits; open maps of other processes stay valid."""
    files = sorted(_files(folder))
    total = sum(size for _, size, _ in files)
    for _, size, path in files:
        if total <= limit:
            return
        if path != keep:
            path.unlink(missing_ok=True)
            total -= size
