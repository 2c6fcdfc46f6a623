"""Frozen hidden states at the first prompt layer, computed once a data set and kept on disk.

Below the first prompt nothing depends on what trains, and the backbone never drops out, so these states are
the same in every epoch, trial and process. Source: Late Prompt Tuning's economy (arXiv 2210.11292).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import transformers
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from spt.assets import cache_folder
from spt.backbones.base import Backbone
from spt.data.encoded.batches import make_loader, to_device
from spt.data.encoded.examples import Example, Examples
from spt.errors import InputError
from spt.flops import FORMULAS, FlopCounter
from spt.model import PromptedModel
from spt.process.modes import CacheMode, Precision
from spt.process.precision import autocast
from spt.storage.files import sweep, temporaries
from spt.storage.tensor_files import write_tensors

DIGEST = "states_digest"
LIMIT = 8 * 2**30
log = logging.getLogger(__name__)


class StartedExamples(NamedTuple):
    """Hold examples with hidden states to start from, and the FLOPs that those took, whenever that was."""

    examples: Examples
    flops: int


class States(NamedTuple):
    """Hold hidden states [total tokens, H] of the examples' real tokens in order, and the FLOPs they took."""

    states: Tensor
    flops: int


@dataclass(frozen=True)
class PrefixCache:
    """Keep hidden states below the first prompt in files that processes share, memory-mapped.

    Args:
        mode: `auto` is `disk` for splits whose states fit into `limit` and `off` for others, which `disk`
            refuses.
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
        precision: Precision = "32",
    ) -> StartedExamples:
        """Give examples their hidden states at the model's first prompt layer, where that saves work.

        Args:
            examples: encoded rows of one split.
            model: whose first prompt layer the states are for.
            tokenizer: pads the batches.
            batch_size: rows at a time.
            precision: of the passes that will start from the states.

        Returns:
            New examples with a `start`; the same ones where the mode is off, where the first prompt is at
            layer 0 (embedding is cheaper than reading), or where `auto` has no room. A run is charged the
            same FLOPs whether it computed the states or read them.

        Raises:
            InputError: as `check_room`.
        """
        examples = Examples.of(examples)
        self.check_room(examples, model.backbone)
        layer = model.first_prompt_layer
        if not self._keeps(examples, model.backbone) or layer == 0 or not examples:
            return StartedExamples(examples, 0)

        def compute() -> States:
            with autocast(precision, model.backbone.device):
                return _compute(examples, model, tokenizer, batch_size)

        states, flops = self._read_or_compute(key(examples, model, batch_size, precision), compute)
        return StartedExamples(examples.starting(layer, states), flops)

    def check_room(self, examples: Examples, backbone: Backbone) -> None:
        """Refuse a split whose states could not be kept, before any work has gone into it.

        Raises:
            InputError: if the mode is `disk` and the states pass the limit.
        """
        if self.mode == "disk" and not self._keeps(examples, backbone):
            size = _bytes(examples, backbone) / 2**30
            raise InputError(
                f"The hidden states of {len(examples):,} rows take {size:.2g} GB, "
                f"but cache_gb is {self.limit / 2**30:.2g}. Raise cache_gb, or set cache to auto or off."
            )

    def _keeps(self, examples: Examples, backbone: Backbone) -> bool:
        return self.mode != "off" and _bytes(examples, backbone) <= self.limit

    def _read_or_compute(self, name: str, compute: Callable[[], States]) -> States:
        folder = self.folder or cache_folder() / "prefixes"
        try:
            return self._keep(folder, name, compute)
        except OSError as error:
            log.warning(
                "the cache of hidden states %s cannot be used (%s): this run computes its own", folder, error
            )
            return compute()

    def _keep(self, folder: Path, name: str, compute: Callable[[], States]) -> States:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.safetensors"
        with FileLock(path.with_suffix(".lock")):
            states = _read(path)
            if states is None:
                computed = compute()
                _write(path, *computed)
                # mapped rather than held, unless another process that needed room has removed the file
                states = _read(path) or computed
        with suppress(FileNotFoundError):
            os.utime(path)
        _evict(folder, self.limit, keep=path)
        return states


def key(examples: Examples, model: PromptedModel, batch_size: int, precision: Precision = "32") -> str:
    """Name states by all they depend on: tokens, layer, precision, the backbone's weights and settings.

    Device, attention kernel, versions of the libraries and size of the batches are among it: they change last
    bits, and the padding that is charged for, and so is what a charge counts.

    Args:
        examples: encoded rows, in the order of their states.
        model: says the layer that the states enter, and the backbone.
        batch_size: rows that are computed at a time.
        precision: that they are computed with.
    """
    digest = hashlib.blake2b(digest_size=20)
    backbone = model.backbone
    config = backbone.model.config
    settings = f"{backbone.device.type} {config._attn_implementation} {batch_size} {config.to_json_string()}"
    versions = f"{torch.__version__} {transformers.__version__}"
    counted = sorted(map(str, FORMULAS))
    parts = (model.first_prompt_layer, precision, backbone.fingerprint, settings, versions, counted)
    digest.update(" ".join(map(str, parts)).encode())
    types = examples.token_type_ids
    for start, end in pairwise(examples.offsets.tolist()):
        digest.update(examples.input_ids[start:end].astype(np.int64).tobytes() + b";")
        digest.update((b"" if types is None else types[start:end].astype(np.int64).tobytes()) + b".")
    return digest.hexdigest()


def _bytes(examples: Examples, backbone: Backbone) -> int:
    return len(examples.input_ids) * backbone.hidden_size * backbone.dtype.itemsize


def _compute(
    examples: Examples, model: PromptedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> States:
    starts = examples.offsets
    states = torch.empty(len(examples.input_ids), model.backbone.hidden_size, dtype=model.backbone.dtype)
    counter = FlopCounter()
    # by their places, because windows share a row
    placed = replace(examples, rows=np.arange(len(examples)))
    for batch in make_loader(placed, tokenizer, batch_size):
        with counter:
            hidden = model.prefix(to_device(batch, model.backbone.device)).hidden.cpu()
        for index, state, mask in zip(batch["rows"].tolist(), hidden, batch["attention_mask"], strict=True):
            states[starts[index] : starts[index + 1]] = state[mask.bool()]
    return States(states, counter.total)


def _digest(states: Tensor) -> str:
    return hashlib.blake2b(states.numpy().data, digest_size=16).hexdigest()


def _write(path: Path, states: Tensor, flops: int) -> None:
    write_tensors(path, {"states": states}, {DIGEST: _digest(states), "flops": str(flops)})


def _read(path: Path) -> States | None:
    """Return the states, memory-mapped; None where the file is missing or damaged."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            states: Tensor = file.get_tensor("states")
            metadata = file.metadata() or {}
            if _digest(states) == metadata.get(DIGEST):
                return States(states, int(metadata["flops"]))
    except (OSError, SafetensorError, KeyError) as error:
        log.warning("the cached prefix %s cannot be read (%s) and is made again", path.name, error)
        return None
    log.warning("the cached prefix %s is damaged and is made again", path.name)
    return None


def _sizes(paths: Iterable[Path]) -> Iterator[tuple[float, int, Path]]:
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        yield status.st_mtime, status.st_size, path


def _evict(folder: Path, limit: int, keep: Path) -> None:
    """Remove the files unused longest until the rest fits, with those that other processes are writing.

    Open maps of other processes stay valid.
    """
    sweep(folder)
    files = sorted(_sizes(folder.glob("*.safetensors")))
    total = sum(size for _, size, _ in [*files, *_sizes(temporaries(folder))])
    for _, size, path in files:
        if total <= limit:
            return
        if path != keep:
            path.unlink(missing_ok=True)
            total -= size
