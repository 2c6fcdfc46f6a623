"""What can be said of scores over seeds: means, intervals, paired tests, ranks. All by scipy, Holm aside."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

# the exact test visits 2^pairs assignments; beyond so many pairs it samples as many
EXACT_PAIRS = 14


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation and t interval of the mean; None where one value leaves them open."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int


def spread(values: Sequence[float], confidence: float = 0.95) -> Spread:
    """Return the mean, deviation and interval of at least one value.

    Args:
        values: one a seed.
        confidence: of the interval, in (0, 1).

    Source: Student's t, which five seeds need rather than the normal distribution.
    """
    n, mean = len(values), statistics.fmean(values)
    if n == 1:
        return Spread(mean, None, None, None, n)
    sd = statistics.stdev(values)
    reach = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * sd / math.sqrt(n)
    return Spread(mean, sd, mean - reach, mean + reach, n)


def paired_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p of the paired permutation test of equal means.

    Exact up to 14 pairs, where it is never below 2 / 2^pairs; sampled with a fixed seed beyond.

    Args:
        first: one value a pair.
        second: in the same order.

    Source: Fisher's randomisation test, scipy.stats.permutation_test.
    """
    result = stats.permutation_test(
        (np.asarray(first), np.asarray(second)),
        # sums that are equal but for the order of their parts tie
        lambda x, y, axis: np.mean(x - y, axis=axis).round(9),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**EXACT_PAIRS,
        rng=np.random.default_rng(0),
    )
    return float(min(result.pvalue, 1.0))


def smallest_p(pairs: int) -> float:
    """Return what `paired_p` cannot go below with so many pairs."""
    return 2.0 ** (1 - min(pairs, EXACT_PAIRS))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for their number, in the given order. Source: Holm 1979."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


@dataclass(frozen=True)
class Ranks:
    """Mean ranks (1 is best), Friedman's p, and the difference that two mean ranks need.

    Args:
        mean: one a group.
        p: of all groups being alike.
        critical_difference: Nemenyi's, at 5 %.
        blocks: how many rankings went in.
    """

    mean: list[float]
    p: float
    critical_difference: float
    blocks: int


def ranks(scores: Sequence[Sequence[float]]) -> Ranks:
    """Rank the groups within each block, high scores first, ties shared.

    Args:
        scores: [blocks, groups], at least two blocks and three groups.

    Source: Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 2006.
    """
    # the last bits of scores would rank what is equal
    table = np.asarray(scores).round(9)
    blocks, groups = table.shape
    mean = stats.rankdata(-table, axis=1).mean(axis=0)
    alike = bool((table == table[:, :1]).all())
    p = 1.0 if alike else float(stats.friedmanchisquare(*table.T).pvalue)
    return Ranks([float(rank) for rank in mean], p, critical_difference(groups, blocks), blocks)


def critical_difference(groups: int, blocks: int, alpha: float = 0.05) -> float:
    """Return Nemenyi's: two mean ranks that are further apart differ at `alpha`. Source: Demšar 2006."""
    quantile = float(stats.studentized_range.ppf(1 - alpha, groups, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(groups * (groups + 1) / (6 * blocks))


def stability(choices: Sequence[Collection[int]]) -> float | None:
    """Return the mean Jaccard similarity, in [0, 1], of all pairs of sets; None for fewer than two."""
    pairs = [(set(a), set(b)) for a, b in combinations(choices, 2)]
    if not pairs:
        return None
    return statistics.fmean(len(a & b) / len(a | b) if a | b else 1.0 for a, b in pairs)
