"""Which rows a split gets: properties of the sampling functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spt.data.splitting.splits import allocate, first_of_each, others, per_class, stratified
from spt.errors import InputError

COUNTS = st.lists(st.integers(1, 60), min_size=1, max_size=8)


@st.composite
def requests(draw):
    """Class counts, rows that must stay, and a total that can be met."""
    counts, keep = draw(COUNTS), draw(st.integers(0, 2))
    return counts, draw(st.integers(0, sum(max(count - keep, 0) for count in counts))), keep


@given(requests())
def test_allocation_meets_the_total_within_each_class(request):
    counts, total, keep = request
    taken = allocate(counts, total, keep)
    assert sum(taken) == total
    assert all(0 <= number <= max(count - keep, 0) for number, count in zip(taken, counts, strict=True))
    if total >= len(counts):
        assert all(number >= 1 for number, count in zip(taken, counts, strict=True) if count > keep)


@given(COUNTS, st.data())
def test_shares_are_right_where_nothing_binds(counts, data):
    counts = [count * 10 for count in counts]
    total = data.draw(st.integers(sum(counts) // 10, sum(counts)))
    taken = np.array(allocate(counts, total))
    shares = total * np.array(counts) / sum(counts)
    assert np.all(np.abs(taken - shares) < 1 + 1e-9)


def test_largest_remainders_by_hand():
    assert allocate([50, 30, 20], 7) == [4, 2, 1]
    assert allocate([97, 2, 1], 10) == [8, 1, 1]


def test_more_than_there_is_is_refused():
    with pytest.raises(InputError, match="5 rows are wanted, but only 4 can be taken"):
        allocate([3, 3], 5, keep=1)


LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=200)


@given(LABELS, st.data(), st.integers(0, 100))
def test_a_sample_and_the_others_are_all_rows_once(labels, data, seed):
    total = data.draw(st.integers(0, len(labels)))
    chosen = stratified(labels, total, np.random.default_rng(seed))
    assert len(chosen) == total
    assert sorted([*chosen, *others(len(labels), chosen)]) == list(range(len(labels)))
    assert chosen == stratified(labels, total, np.random.default_rng(seed))


@given(st.integers(1, 5), st.integers(0, 100))
def test_shots_take_that_many_of_each_class(shots, seed):
    labels = [0, 1, 2] * 5 + [2] * 20
    chosen = per_class(labels, shots, np.random.default_rng(seed))
    assert len(set(chosen)) == len(chosen)
    assert np.bincount([labels[row] for row in chosen]).tolist() == [shots] * 3


def test_seeds_choose_differently():
    labels = [0, 1] * 50
    assert stratified(labels, 20, np.random.default_rng(0)) != stratified(
        labels, 20, np.random.default_rng(1)
    )


def test_first_of_each():
    assert first_of_each("abcab") == [0, 1, 2]
