"""Which rows a split gets: small functions over class indices, deterministic for their generator."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from spt.data.labels.label_sets import RowLabel, class_set, rows_by_class
from spt.errors import InputError


def allocate(counts: Sequence[int], total: int, keep: int = 0) -> list[int]:
    """Say how many rows of each class to take, in proportion to the classes (largest remainders).

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


def stratified(
    labels: Sequence[RowLabel], total: int, generator: np.random.Generator, keep: int = 0
) -> list[int]:
    """Sorted indices of a stratified sample of `total` rows, leaving `keep` rows of each class.

    Where rows have several labels, the rarest class is shared out first: iterative stratification. Where no
    class must keep rows, each gets one at least, if there are as many rows as classes.

    Args:
        labels: of each row, a class or a set of them.
        total: rows to draw, >= 0.
        generator: draws them.
        keep: rows of each class that are not drawn, >= 0.

    Raises:
        InputError: there are not that many rows.
    """
    if _are_sets(labels):
        return _stratified_sets([class_set(label) for label in labels], total, generator, keep)
    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    return _sample(labels, classes, allocate(counts.tolist(), total, keep), generator)


def per_class(labels: Sequence[RowLabel], number: int, generator: np.random.Generator) -> list[int]:
    """Sorted indices of `number` rows of each class that occurs.

    Where rows have several labels, the rarest class gets its rows first, and a class has more than `number`
    where rows of others have it too.
    """
    if _are_sets(labels):
        return _per_class_sets([class_set(label) for label in labels], number, generator)
    classes = np.unique(np.asarray(labels))
    return _sample(labels, classes, [number] * len(classes), generator)


def equal_parts(sets: Sequence[tuple[int, ...]], parts: int, generator: np.random.Generator) -> list[int]:
    """Deal rows of several labels into parts of one size, to a row, with equal shares of each class.

    Args:
        sets: classes of each row, [N].
        parts: how many, >= 1.
        generator: says in which order rows are dealt.

    Returns:
        The part of each row, from 0, [N].
    """
    wants = {index: [count / parts] * parts for index, count in rows_by_class(sets).items()}
    room = [len(sets[part::parts]) for part in range(parts)]
    return _deal_sets(sets, wants, room, generator)


def first_of_each(rows: Iterable[Hashable]) -> list[int]:
    """Sorted indices of the first occurrence of each row."""
    first: dict[Hashable, int] = {}
    for index, row in enumerate(rows):
        first.setdefault(row, index)
    return list(first.values())


def others(size: int, indices: Sequence[int]) -> list[int]:
    """Return the indices below `size` that are not given, sorted."""
    given = set(indices)
    return [index for index in range(size) if index not in given]


def _are_sets(labels: Sequence[RowLabel]) -> bool:
    return len(labels) > 0 and not isinstance(labels[0], int | np.integer)


def _stratified_sets(
    sets: Sequence[tuple[int, ...]], total: int, generator: np.random.Generator, keep: int
) -> list[int]:
    """Deal rows of several labels into a sample and its rest."""
    if total > len(sets):
        raise InputError(f"{total} rows are wanted, but only {len(sets)} can be taken.")
    share = total / len(sets)
    counts = rows_by_class(sets)
    stays = {index: max(min(keep, count), (1 - share) * count) for index, count in counts.items()}
    wants = {index: [counts[index] - stays[index], stays[index]] for index in counts}
    parts = _deal_sets(sets, wants, [total, len(sets) - total], generator)
    chosen = [row for row, part in enumerate(parts) if part == 0]
    return chosen if keep else _with_each_class(sets, chosen, generator)


def _with_each_class(
    sets: Sequence[tuple[int, ...]], sample: Sequence[int], generator: np.random.Generator
) -> list[int]:
    """Return a sample in which rows of the classes that it lacks take the place of rows that can be spared.

    Args:
        sets: classes of each row, [N].
        sample: indices of some rows; without a lack they stay as they are, and nothing is drawn.
        generator: draws one of the rows of a class that is lacking.

    Returns:
        As many indices, sorted, with every class if there are as many rows as classes.
    """
    chosen, counts = set(sample), rows_by_class(sets)
    have = rows_by_class([sets[row] for row in sample])
    share = len(sample) / len(sets)
    for index in sorted(counts.keys() - have.keys(), key=lambda index: (counts[index], index)):
        spare = [row for row in sorted(chosen) if all(have[label] > 1 for label in sets[row])]
        # a row that was added for another class may have this one
        if have[index] or not spare:
            continue
        # that of which there are most beyond their share; rows of no class have just theirs
        left_out = max(
            spare,
            key=lambda row: min((have[label] - share * counts[label] for label in sets[row]), default=0.0),
        )
        added = int(generator.choice([row for row, labels in enumerate(sets) if index in labels]))
        have += Counter(sets[added])
        have -= Counter(sets[left_out])
        chosen = (chosen - {left_out}) | {added}
    return sorted(chosen)


def _deal_sets(
    sets: Sequence[tuple[int, ...]],
    wants: dict[int, list[float]],
    room: list[int],
    generator: np.random.Generator,
) -> list[int]:
    """Deal rows of several labels into parts, those of the rarest class first.

    Args:
        sets: classes of each row, [N].
        wants: rows of each class that each part still wants, which is counted down.
        room: rows that each part still takes, N together, which is counted down.
        generator: says in which order rows of a class are dealt.

    Returns:
        The part of each row, [N].

    Source: Sechidis et al., On the Stratification of Multi-Label Data (2011).
    """
    order = [int(row) for row in generator.permutation(len(sets))]
    part_of = [0] * len(sets)

    def place(row: int, part: int) -> None:
        room[part] -= 1
        for index in sets[row]:
            wants[index][part] -= 1
        part_of[row] = part

    left = dict.fromkeys(order)
    remaining = rows_by_class(sets)
    while remaining:
        rarest = min(remaining, key=lambda index: (remaining[index], index))
        for row in [row for row in left if rarest in sets[row]]:
            open_parts = [part for part, places in enumerate(room) if places]
            place(row, max(open_parts, key=lambda part: (wants[rarest][part], room[part])))
            del left[row]
            remaining -= Counter(sets[row])
        del remaining[rarest]
    for row in left:
        place(row, next(part for part, places in enumerate(room) if places))
    return part_of


def _per_class_sets(
    sets: Sequence[tuple[int, ...]], number: int, generator: np.random.Generator
) -> list[int]:
    counts = rows_by_class(sets)
    order = [int(row) for row in generator.permutation(len(sets))]
    chosen: dict[int, None] = {}
    have: Counter[int] = Counter()
    for index in sorted(counts, key=lambda index: (counts[index], index)):
        for row in order:
            if have[index] >= number:
                break
            if index in sets[row] and row not in chosen:
                chosen[row] = None
                have += Counter(sets[row])
    return sorted(chosen)


def _sample(
    labels: Sequence[RowLabel],
    classes: NDArray[np.int64],
    numbers: Sequence[int],
    generator: np.random.Generator,
) -> list[int]:
    array = np.asarray(labels)
    chosen = [
        generator.choice(np.flatnonzero(array == index), size=number, replace=False)
        for index, number in zip(classes, numbers, strict=True)
    ]
    return [int(index) for index in np.sort(np.concatenate(chosen))]
