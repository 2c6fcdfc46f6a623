"""Statistics against values by hand, from the papers' tables, and from scipy's other functions."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.comparing.statistics import (
    critical_difference,
    holm,
    paired_p,
    ranks,
    smallest_p,
    spread,
    stability,
)


def test_spread_of_a_few_values() -> None:
    found = spread([1.0, 2.0, 3.0])
    assert (found.mean, found.sd, found.n) == (2.0, 1.0, 3)
    # t(0.975, 2) = 4.302653
    assert found.high == pytest.approx(2 + 4.302653 / math.sqrt(3))
    assert found.low == pytest.approx(2 - 4.302653 / math.sqrt(3))


def test_the_interval_is_scipys() -> None:
    values = [0.91, 0.93, 0.92, 0.90, 0.95]
    found = spread(values, 0.9)
    low, high = stats.t.interval(0.9, 4, loc=found.mean, scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_one_value_has_no_spread() -> None:
    found = spread([0.5])
    assert (found.mean, found.sd, found.low, found.high) == (0.5, None, None, None)


def test_five_pairs_all_one_way_give_two_of_thirty_two() -> None:
    assert paired_p([2, 3, 4, 5, 6], [1, 1, 1, 1, 1]) == 2 / 32 == smallest_p(5)


def test_a_permutation_test_by_hand() -> None:
    # differences 3, 2, -1: of 8 sign patterns, 2 reach a sum of 4 or more, so two-sided 4 of 8
    assert paired_p([3, 2, 0], [0, 0, 1]) == pytest.approx(0.5)


def test_differences_of_as_many_rows_tie_whatever_floating_point_makes_of_them() -> None:
    rows, theirs = 2000, [1801, 1777, 1790, 1823, 1768, 1799, 1811, 1785]
    signs = [1, 2, 1, -1, 3, 1, -2, 2]
    ours = [right + sign for right, sign in zip(theirs, signs, strict=True)]
    sums = [
        abs(sum(s * d for s, d in zip(flips, signs, strict=True))) for flips in product((1, -1), repeat=8)
    ]
    exact = sum(each >= abs(sum(signs)) for each in sums) / len(sums)
    for divisor in (rows, 1821, 872):
        p = paired_p([right / divisor for right in ours], [right / divisor for right in theirs])
        assert p == pytest.approx(exact)


def test_equal_pairs_do_not_differ() -> None:
    assert paired_p([0.9, 0.8], [0.9, 0.8]) == 1.0


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=7))
def test_the_order_of_the_two_does_not_matter(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    p = paired_p(first, second)
    assert p == pytest.approx(paired_p(second, first))
    assert smallest_p(len(pairs)) <= p + 1e-9 <= 1 + 1e-9


def test_many_pairs_are_sampled_the_same_each_time() -> None:
    first, second = [float(i % 7) for i in range(30)], [float(i % 5) for i in range(30)]
    assert paired_p(first, second) == paired_p(first, second)
    assert paired_p(first, second) == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.03)


def test_holm_by_hand() -> None:
    # sorted .01 .02 .03 .04 times 4 3 2 1, never falling
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_raw_values_and_bonferroni(p_values: list[float]) -> None:
    for raw, adjusted in zip(p_values, holm(p_values), strict=True):
        assert raw <= adjusted <= min(1.0, len(p_values) * raw)
    assert min(holm(p_values)) == min(1.0, len(p_values) * min(p_values))


# q of Demšar's table 5 (a), at 5 %
@pytest.mark.parametrize(("groups", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_is_demsars(groups: int, q: float) -> None:
    expected = q * math.sqrt(groups * (groups + 1) / (6 * 14))
    assert critical_difference(groups, 14) == pytest.approx(expected, rel=1e-3)


def test_ranks_share_ties_and_put_high_scores_first() -> None:
    # the first block's ties differ in their last bits
    found = ranks([[0.9, 0.8, 0.1 + 0.7], [0.9, 0.7, 0.8]])
    assert 0.1 + 0.7 != 0.8
    assert found.mean == [1.0, 2.75, 2.25]
    assert found.blocks == 2
    assert found.p == pytest.approx(stats.friedmanchisquare([0.9, 0.9], [0.8, 0.7], [0.8, 0.8]).pvalue)


def test_groups_that_are_all_alike_have_p_one() -> None:
    found = ranks([[0.9, 0.9, 0.9], [0.8, 0.8, 0.8]])
    assert (found.mean, found.p) == ([2.0, 2.0, 2.0], 1.0)


def test_stability_is_the_mean_jaccard_of_pairs() -> None:
    assert stability([(0, 1), (0, 1), (1, 2)]) == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    assert stability([(0, 1), (2, 3)]) == 0.0
    assert stability([(), ()]) == 1.0
    assert stability([(0,)]) is None
