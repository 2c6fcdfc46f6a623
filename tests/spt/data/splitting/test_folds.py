"""Folds: every row held out once, nothing held out that is trained on, classes in proportion."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spt.data.encoded.examples import Example, Examples
from spt.data.labels.label_sets import multi_hot
from spt.data.splitting.folds import deal, pooled
from spt.errors import InputError
from tests.support.tiny import tiny_workbench


def rows(texts: list[int], labels: list[int]) -> Examples:
    """Rows of a token each: the same number is the same text."""
    return Examples.of(
        [
            Example(input_ids=[text], label=label, row=row)
            for row, (text, label) in enumerate(zip(texts, labels, strict=True))
        ]
    )


@given(st.lists(st.integers(2, 9), min_size=2, max_size=4), st.integers(2, 4))
def test_every_text_is_held_out_once_and_classes_keep_their_share(sizes: list[int], folds: int) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    pool = rows(list(range(len(labels))), labels)
    dealt = deal(pool, folds, [*"abcd"])
    held_out = np.concatenate([fold.dev.input_ids for fold in dealt])
    assert sorted(held_out.tolist()) == pool.input_ids.tolist()
    for fold in dealt:
        assert sorted([*fold.train.input_ids, *fold.dev.input_ids]) == pool.input_ids.tolist()
        for part in fold:
            assert part.rows.tolist() == list(range(len(part)))
        assert len(fold.dev) in (len(pool) // folds, -(-len(pool) // folds))
        for label, size in enumerate(sizes):
            assert Counter(fold.dev.labels.tolist())[label] in (size // folds, -(-size // folds))


@given(st.lists(st.sets(st.integers(0, 2)), min_size=12, max_size=40), st.integers(2, 4), st.data())
def test_each_training_has_a_rare_class_of_texts_with_several_labels(
    common: list[set[int]], folds: int, data: st.DataObject
) -> None:
    sets = [sorted(labels) for labels in common]
    rare = data.draw(st.lists(st.integers(0, len(sets) - 1), min_size=2, max_size=3, unique=True))
    for row in rare:
        sets[row].append(3)
    # two of each common class, whatever was drawn
    sets += [[0, 1, 2]] * 2
    pool = replace(rows(list(range(len(sets))), [0] * len(sets)), labels=multi_hot(sets, 4))
    dealt = deal(pool, folds, [*"abcd"])
    assert sorted(np.concatenate([fold.dev.input_ids for fold in dealt]).tolist()) == list(range(len(sets)))
    for fold in dealt:
        assert fold.train.labels.any(0).all()
        assert fold.dev.labels[:, 3].sum() <= -(-len(rare) // folds)
        assert len(fold.dev) in (len(pool) // folds, -(-len(pool) // folds))


def test_folds_of_one_label_a_text_stay_what_runs_began_with() -> None:
    dealt = deal(rows(list(range(12)), [0, 1, 2] * 4), 3, ["a", "b", "c"])
    assert [fold.dev.input_ids.tolist() for fold in dealt] == [[0, 9, 10, 11], [1, 3, 4, 8], [2, 5, 6, 7]]


def test_rows_with_the_same_text_are_in_the_same_fold() -> None:
    texts = [1, 1, 1, 2, 3, 4, 4, 5, 6, 1]
    for fold in deal(rows(texts, [0, 0, 1, 0, 0, 1, 1, 1, 1, 0]), 3, ["a", "b"]):
        assert not set(fold.train.input_ids.tolist()) & set(fold.dev.input_ids.tolist())


def test_pairs_that_part_their_tokens_elsewhere_are_different_texts() -> None:
    pairs = [([0, 0, 1], 0), ([0, 1, 1], 0), ([0, 0, 0], 1), ([1, 1, 1], 1)]
    pool = Examples.of(
        [
            Example(input_ids=[5, 6, 7], token_type_ids=types, label=label, row=row)
            for row, (types, label) in enumerate(pairs)
        ]
    )
    assert [len(fold.dev) for fold in deal(pool, 2, ["a", "b"])] == [2, 2]


def test_the_folds_are_the_same_each_time() -> None:
    pool = rows(list(range(20)), [0, 1] * 10)
    first, second = (deal(pool, 4, ["a", "b"]) for _ in range(2))
    assert [fold.dev.input_ids.tolist() for fold in first] == [fold.dev.input_ids.tolist() for fold in second]
    # shuffled
    assert first[0].dev.input_ids.tolist() != list(range(0, 20, 4))


def test_train_and_dev_are_pooled_with_numbers_of_their_own() -> None:
    pool = pooled(rows([1, 2], [0, 1]), rows([3], [1]))
    assert (pool.input_ids.tolist(), pool.rows.tolist()) == ([1, 2, 3], [0, 1, 2])


@pytest.mark.parametrize(
    ("labels", "folds", "message"),
    [
        ([0, 0, 0, 1], 2, "class 'b' has a single text in train and dev together"),
        ([0, 0, 1, 1], 5, "have 4 different texts together. Set data.folds to 4 or less"),
    ],
)
def test_what_cannot_be_dealt_is_refused(labels: list[int], folds: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        deal(rows(list(range(len(labels))), labels), folds, ["a", "b"])


def test_a_class_whose_rows_are_all_in_one_fold_is_refused() -> None:
    # the same text with both labels: it counts as a text of its first row's
    pool = rows([1, 2, 3, 4, 4], [0, 0, 0, 0, 1])
    with pytest.raises(InputError, match=r"folds is 2, but all rows of the class 'b' .* are in one fold"):
        deal(pool, 2, ["a", "b"])


def test_a_workbench_deals_windows_by_their_texts(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, data={"max_length": 6, "windows": 2, "folds": 4})
    assert bench.pool.num_rows == 140
    assert len(bench.fold_workbenches) == 4
    for fold in bench.fold_workbenches:
        train, dev = fold.examples["train"], fold.examples["dev"]
        assert (train.num_rows, dev.num_rows) == (105, 35)
        assert len(train) + len(dev) == len(bench.pool)
        assert fold.examples["test"] is bench.examples["test"]
    everything = bench.on_all_rows(3)
    assert everything.rows("train") == 140
    assert everything.training.epochs == 3
    assert "dev" not in everything.examples
