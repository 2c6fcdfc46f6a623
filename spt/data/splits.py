"""Which rows a split gets: small functions over class indices, deterministic for their generator."""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from spt.errors import InputError


def allocate(counts: Sequence[int], total: int, keep: int = 0) -> list[int]:
    """How many rows of each class to take, in proportion to the classes (largest remainders).

    Args:
        counts: rows of each class, [C].
        total: rows to take.
        keep: rows of each class that must stay.

    Returns:
        Rows to take of each class, [C], summing to total; at least one where total allows it.

    Raises:
        InputError: there are not that many rows.
    """
    sizes = np.asarray(counts, dtype=np.int64)
    most = np.maximum(sizes - keep, 0)
    if total > most.sum():
        raise InputError(f"{total} rows are wanted, but only {most.sum()} can be taken.")
    least = np.minimum(most, 1 if total >= np.count_nonzero(most) else 0)
    shares = total * sizes / sizes.sum()
    chosen = np.clip(np.floor(shares).astype(np.int64), least, most)
    while chosen.sum() < total:
        chosen[np.argmax(np.where(chosen < most, shares - chosen, -np.inf))] += 1
    while chosen.sum() > total:
        chosen[np.argmin(np.where(chosen > least, shares - chosen, np.inf))] -= 1
    return [int(number) for number in chosen]


def stratified(labels: Sequence[int], total: int, generator: np.random.Generator, keep: int = 0) -> list[int]:
    """Sorted indices of a stratified sample of `total` rows, leaving `keep` rows of each class."""
    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    return _sample(labels, classes, allocate(counts.tolist(), total, keep), generator)


def per_class(labels: Sequence[int], number: int, generator: np.random.Generator) -> list[int]:
    """Sorted indices of `number` rows of each class that occurs."""
    classes = np.unique(np.asarray(labels))
    return _sample(labels, classes, [number] * len(classes), generator)


def first_of_each(rows: Iterable[Hashable]) -> list[int]:
    """Sorted indices of the first occurrence of each row."""
    first: dict[Hashable, int] = {}
    for index, row in enumerate(rows):
        first.setdefault(row, index)
    return list(first.values())


def others(size: int, indices: Sequence[int]) -> list[int]:
    """The indices below `size` that are not given, sorted."""
    given = set(indices)
    return [index for index in range(size) if index not in given]


def _sample(
    labels: Sequence[int], classes: NDArray[np.int64], numbers: Sequence[int], generator: np.random.Generator
) -> list[int]:
    array = np.asarray(labels)
    chosen = [
        generator.choice(np.flatnonzero(array == index), size=number, replace=False)
        for index, number in zip(classes, numbers, strict=True)
    ]
    return [int(index) for index in np.sort(np.concatenate(chosen))]
