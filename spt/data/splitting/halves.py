"""One training loader as two, for bi-level search."""

from typing import Any, cast

import numpy as np
from torch.utils.data import DataLoader

from spt.data.encoded.batches import Batch, BucketedBatches, bucketed_loader
from spt.data.encoded.examples import Examples
from spt.data.labels.label_sets import row_labels_of
from spt.data.splitting.splits import others, stratified


def split_in_halves(
    loader: "DataLoader[Batch]", seed: int
) -> tuple["DataLoader[Batch]", "DataLoader[Batch]"]:
    """Split a loader of `make_loader` into two over disjoint halves of its rows, batched alike.

    They are stratified by label; of an odd number the first has one more. Windows of a row stay
    together. Each half shuffles on its own.
    """
    examples, batches = cast(Examples, loader.dataset), cast(BucketedBatches, loader.batch_sampler)
    _, first_examples, row_of = np.unique(examples.rows, return_index=True, return_inverse=True)
    labels = row_labels_of(examples.labels[first_examples])
    second = stratified(labels, len(labels) // 2, np.random.default_rng(seed))
    first = others(len(labels), second)

    def part(rows: list[int], offset: int) -> "DataLoader[Batch]":
        shuffle = None if batches.seed is None else 2 * batches.seed + offset
        chosen = examples.take(np.flatnonzero(np.isin(row_of, rows)).tolist())
        return bucketed_loader(chosen, batches.batch_size, shuffle, cast(Any, loader.collate_fn))

    return part(first, 0), part(second, 1)
