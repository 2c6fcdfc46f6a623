"""One training loader as two, for bi-level search."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch.utils.data import DataLoader

from spt.data.batches import BucketedBatches


def halves(loader: DataLoader[Any], seed: int) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """A loader of `make_loader` as two over disjoint random halves of its examples, batched alike."""
    examples, batches = cast(Any, loader.dataset), cast(BucketedBatches, loader.batch_sampler)
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed)).tolist()
    middle = len(order) // 2

    def part(rows: list[int], offset: int) -> DataLoader[Any]:
        lengths = [int(batches.lengths[row]) for row in rows]
        shuffle = None if batches.seed is None else 2 * batches.seed + offset
        return DataLoader(
            [examples[row] for row in rows],
            batch_sampler=BucketedBatches(lengths, batches.batch_size, shuffle),
            collate_fn=loader.collate_fn,
            generator=torch.Generator(),
        )

    return part(order[:middle], 0), part(order[middle:], 1)
