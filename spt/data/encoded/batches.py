"""Encoded rows -> padded batches of rows of similar length."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from numbers import Integral
from typing import Any, TypedDict, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from transformers import PreTrainedTokenizerBase
from typing_extensions import NotRequired

from spt.data.encoded.examples import Example, Examples
from spt.errors import InputError
from spt.seeds import MANY, derived_seed
from spt.start import Start

# batches that are sorted by length together: enough for little padding, few enough to stay random
WINDOW = 50


class Batch(TypedDict):
    """Hold B rows of T tokens, padded on the right; tokens and class indices int64."""

    input_ids: Tensor  # [B, T]
    attention_mask: Tensor  # [B, T], 1 on real tokens
    token_type_ids: NotRequired[Tensor]  # [B, T]
    labels: Tensor  # [B]; of several labels a row, float [B, C], 1 for its classes and 0 for others
    rows: Tensor  # [B], index of the row in its split
    start: NotRequired[Start]  # hidden states [B, T, H] that a model may begin with


class BucketedBatches(Sampler[list[int]]):
    """Give batches of row indices in which each row occurs once and lengths are similar.

    Args:
        lengths: tokens of each row.
        batch_size: rows a batch; one batch of an epoch may be smaller.
        seed: rows and batches are shuffled by (seed, epoch). None: longest rows first, always the same.

    Raises:
        ValueError: batch_size is below 1.
    """

    def __init__(self, lengths: Sequence[int] | NDArray[np.int64], batch_size: int, seed: int | None) -> None:
        if batch_size < 1:
            raise ValueError(f"The value of batch_size is {batch_size}, but must be >= 1.")
        self.lengths = torch.from_numpy(np.array(lengths, dtype=np.int64))
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    @property
    def sampler(self) -> "BucketedBatches":
        """Return this sampler: Lightning calls `set_epoch` on the sampler inside a batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of that epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        # a generator, so that the epoch is read when batches are asked for: Lightning makes iterators early
        for rows in self._batches():
            yield rows.tolist()

    def _batches(self) -> list[Tensor]:
        if self.seed is None:
            order = torch.argsort(self.lengths, descending=True, stable=True)
            return list(torch.split(order, self.batch_size))
        generator = torch.Generator().manual_seed(derived_seed(self.seed, self.epoch, MANY))
        order = torch.randperm(len(self.lengths), generator=generator)
        windows = torch.split(order, self.batch_size * WINDOW)
        batches = [
            rows for window in windows for rows in torch.split(self._by_length(window), self.batch_size)
        ]
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    def _by_length(self, rows: Tensor) -> Tensor:
        return rows[torch.argsort(self.lengths[rows], stable=True)]


def collate(examples: Examples, pad_id: int) -> Batch:
    """Put examples into one batch, padded on the right to the longest."""
    lengths = torch.from_numpy(examples.lengths)
    real = torch.arange(int(lengths.max())) < lengths[:, None]
    batch = Batch(
        input_ids=_padded(torch.from_numpy(examples.input_ids).long(), real, pad_id),
        attention_mask=real.long(),
        labels=torch.from_numpy(examples.labels),
        rows=torch.from_numpy(examples.rows),
    )
    if examples.token_type_ids is not None:
        batch["token_type_ids"] = _padded(torch.from_numpy(examples.token_type_ids).long(), real, 0)
    if examples.start is not None:
        batch["start"] = Start(examples.start.layer, _padded(examples.start.hidden, real, 0))
    return batch


def _padded(values: Tensor, real: Tensor, padding: int) -> Tensor:
    """Spread values [M, ...] of all real tokens over a batch [B, T, ...], padding elsewhere."""
    padded = torch.full((*real.shape, *values.shape[1:]), padding, dtype=values.dtype)
    padded[real] = values
    return padded


def to_device(batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Return the batch with its tensors on a device."""
    return {name: _to_device(value, device) for name, value in batch.items()}


def _to_device(value: Any, device: torch.device) -> Any:
    if isinstance(value, Start):
        return Start(value.layer, _to_device(value.hidden, device))
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value


def make_loader(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, batch_size: int, seed: int | None = None
) -> "DataLoader[Batch]":
    """Make length-bucketed batches of all examples.

    Args:
        examples: encoded rows.
        tokenizer: whose padding token is used; where it has none the mask alone marks the padding.
        batch_size: rows a batch.
        seed: shuffles the training batches of each epoch; None for evaluation.

    Returns:
        A loader whose `batch_sampler.set_epoch(epoch)` chooses the order.

    Raises:
        InputError: for a batch without rows, or a size that is no whole number.
    """
    if not isinstance(batch_size, Integral) or isinstance(batch_size, bool) or batch_size < 1:
        raise InputError(f"batch_size is {batch_size!r}, but must be at least 1, a whole number.")
    return bucketed_loader(
        Examples.of(examples), int(batch_size), seed, partial(collate, pad_id=_pad_id(tokenizer))
    )


def bucketed_loader(
    examples: Examples,
    batch_size: int,
    seed: int | None,
    collate_fn: Callable[[Examples], Batch],
) -> "DataLoader[Batch]":
    """Make a loader as `make_loader` does, with the function that makes a batch of examples."""
    return DataLoader(
        cast(Any, examples),
        batch_sampler=BucketedBatches(examples.lengths, batch_size, seed),
        collate_fn=cast(Any, collate_fn),
        # without its own generator an epoch would draw from the global one
        generator=torch.Generator(),
        # Lightning copies pinned batches to a GPU while it computes
        pin_memory=torch.cuda.is_available(),
    )


def _pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0
