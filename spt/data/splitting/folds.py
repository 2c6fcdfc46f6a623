"""Rows dealt into folds: each is held out once, from a training on the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spt.data.encoded.examples import Examples
from spt.data.labels.label_sets import class_set, row_labels_of
from spt.errors import InputError

# folds must be the same for every seed of a run
FOLD_SEED = 20232


class Fold(NamedTuple):
    """Hold the rows to train on, and those that are held out."""

    train: Examples
    dev: Examples


def pooled(train: Examples, dev: Examples) -> Examples:
    """Return the rows of both splits as one."""
    return Examples.concatenated([train, replace(dev, rows=dev.rows + train.rows.max() + 1)])


def deal(pool: Examples, folds: int, classes: Sequence[str]) -> list[Fold]:
    """Deal rows into folds, stratified by class; rows with the same text are in the same fold.

    Args:
        pool: rows, numbered from 0; those of a row's windows stay together.
        folds: how many, >= 2.
        classes: names of the classes.

    Returns:
        One fold after the other, with rows numbered from 0 in each part; the same for every seed of a run.

    Raises:
        InputError: if there are too few texts for the folds, or a class has a single text.
    """
    texts = _texts(pool)
    _check(texts, folds, classes)
    fold_of = np.empty(pool.num_rows, dtype=np.int64)
    generator = np.random.default_rng(FOLD_SEED)
    dealt = 0
    for label in sorted(texts):
        for position in generator.permutation(len(texts[label])):
            fold_of[texts[label][position]] = dealt % folds
            dealt += 1
    held_out = [fold_of[pool.rows] == fold for fold in range(folds)]
    return [Fold(_part(pool, ~rows), _part(pool, rows)) for rows in held_out]


def _texts(pool: Examples) -> dict[tuple[int, ...], list[list[int]]]:
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


def _check(texts: Mapping[tuple[int, ...], list[list[int]]], folds: int, classes: Sequence[str]) -> None:
    count = sum(map(len, texts.values()))
    if count < folds:
        raise InputError(
            f"data.folds is {folds}, but train and dev have {count} different texts together. Set data.folds "
            f"to {count} or less."
        )
    by_class = Counter(label for labels, rows in texts.items() for label in labels for _ in rows)
    if single := sorted(label for label, number in by_class.items() if number < 2):
        names = ", ".join(repr(classes[label]) for label in single)
        raise InputError(
            f"data.folds is {folds}, but the class {names} has a single text in train and dev together, on "
            "which no fold could train while it is held out. Add rows of that class, or remove data.folds."
        )


def _part(pool: Examples, chosen: NDArray[Any]) -> Examples:
    part = pool.take(np.flatnonzero(chosen).tolist())
    _, rows = np.unique(part.rows, return_inverse=True)
    return replace(part, rows=rows)
