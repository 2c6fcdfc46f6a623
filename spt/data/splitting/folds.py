"""Rows dealt into folds: each is held out once, from a training on the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, cycle
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spt.data.encoded.examples import Examples
from spt.data.labels.label_sets import class_set, row_labels_of, rows_by_class
from spt.data.splitting.splits import equal_parts
from spt.errors import InputError

# folds must be the same for every seed of a run
FOLD_SEED = 20232
# classes -> the rows of each text that has just these
Texts = Mapping[tuple[int, ...], Sequence[list[int]]]


class Fold(NamedTuple):
    """Hold the rows to train on, and those that are held out."""

    train: Examples
    dev: Examples


def pooled(train: Examples, dev: Examples) -> Examples:
    """Return the rows of both splits as one."""
    return Examples.concatenated([train, replace(dev, rows=dev.rows + train.rows.max() + 1)])


def deal(pool: Examples, folds: int, classes: Sequence[str]) -> list[Fold]:
    """Deal rows into folds, stratified by class; rows with the same text are in the same fold.

    Where texts have several labels, those of the rarest class are dealt first: iterative stratification.

    Args:
        pool: rows, numbered from 0; those of a row's windows stay together.
        folds: how many, >= 2.
        classes: names of the classes.

    Returns:
        One fold after the other, with rows numbered from 0 in each part; the same for every seed of a run.

    Raises:
        InputError: if there are too few texts for the folds, a class has a single text, or all rows of a
            class are in one fold.
    """
    texts = _texts(pool)
    _check(texts, folds, classes)
    fold_of = np.empty(pool.num_rows, dtype=np.int64)
    several = pool.labels.ndim == 2
    for fold, rows in _by_sets(texts, folds) if several else _by_class(texts, folds):
        fold_of[rows] = fold
    held_out = [fold_of[pool.rows] == fold for fold in range(folds)]
    dealt = [Fold(_part(pool, ~rows), _part(pool, rows)) for rows in held_out]
    _check_classes(pool, dealt, classes)
    return dealt


def _by_class(texts: Texts, folds: int) -> Iterator[tuple[int, list[int]]]:
    """Yield the fold of each text with its rows: the texts of a class go round the folds."""
    generator = np.random.default_rng(FOLD_SEED)
    round_folds = cycle(range(folds))
    for label in sorted(texts):
        for position in generator.permutation(len(texts[label])):
            yield next(round_folds), texts[label][position]


def _by_sets(texts: Texts, folds: int) -> Iterator[tuple[int, list[int]]]:
    """Yield the fold of each text with its rows, where a text may have several labels."""
    sets = [labels for labels, of_set in texts.items() for _ in of_set]
    parts = equal_parts(sets, folds, np.random.default_rng(FOLD_SEED))
    return zip(parts, chain.from_iterable(texts.values()), strict=True)


def _texts(pool: Examples) -> Texts:
    """Return the rows of each text, by the classes of the first."""
    tokens: defaultdict[int, bytes] = defaultdict(bytes)
    for example in pool:
        types = example.get("token_type_ids", [])
        tokens[example["row"]] += np.array([*example["input_ids"], -1, *types, -1]).tobytes()
    labels = dict(zip(pool.rows.tolist(), map(class_set, row_labels_of(pool.labels)), strict=True))
    rows_of: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, text in tokens.items():
        rows_of[text].append(row)
    by_class: defaultdict[tuple[int, ...], list[list[int]]] = defaultdict(list)
    for rows in rows_of.values():
        by_class[labels[rows[0]]].append(rows)
    return by_class


def _check(texts: Texts, folds: int, classes: Sequence[str]) -> None:
    """Refuse too few texts, and classes that no dealing leaves to train on."""
    count = sum(map(len, texts.values()))
    if count < folds:
        raise InputError(
            f"data.folds is {folds}, but train and dev have {count} different texts together. Set data.folds "
            f"to {count} or less."
        )
    by_class = Counter(label for labels, rows in texts.items() for label in labels for _ in rows)
    if single := sorted(label for label, number in by_class.items() if number < 2):
        raise InputError(
            f"data.folds is {folds}, but the class {_names(single, classes)} has a single text in train and "
            "dev together, on which no fold could train while it is held out. Add rows of that class, or "
            "remove data.folds."
        )


def _check_classes(pool: Examples, dealt: Sequence[Fold], classes: Sequence[str]) -> None:
    """Refuse folds of which one trains without a class that the rows have."""
    present = _classes(pool)
    if lacking := sorted({label for fold in dealt for label in present - _classes(fold.train)}):
        raise InputError(
            f"data.folds is {len(dealt)}, but all rows of the class {_names(lacking, classes)} in train and "
            "dev are in one fold, so that none could train on it while that is held out. Add rows of that "
            "class, or set another data.folds or none."
        )


def _classes(examples: Examples) -> set[int]:
    """Return the classes that examples have."""
    return {*rows_by_class(row_labels_of(examples.labels))}


def _names(labels: Sequence[int], classes: Sequence[str]) -> str:
    return ", ".join(repr(classes[label]) for label in labels)


def _part(pool: Examples, chosen: NDArray[Any]) -> Examples:
    part = pool.take(np.flatnonzero(chosen).tolist())
    _, rows = np.unique(part.rows, return_inverse=True)
    return replace(part, rows=rows)
