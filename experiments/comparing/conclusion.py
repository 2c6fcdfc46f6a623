"""What a comparison comes to, in a sentence a condition that its tests bear out."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.comparing.groups import DEV, Comparison, PairedTest, Row
from spt.metrics import TITLES
from spt.reports.wording import percent

# of a test by Holm's p
LEVEL = 0.05
# conditions that get a sentence each
MOST_CONDITIONS = 4


def conclusion(comparison: Comparison) -> str:
    """Say which group is best on each condition, and what the tests make of that, over all conditions."""
    conditions = comparison.conditions[:MOST_CONDITIONS]
    sentences = [_best_on(comparison, condition) for condition in conditions]
    if more := len(comparison.conditions) - len(conditions):
        sentences.append(f"The other {more} conditions are below.")
    return " ".join([*filter(None, sentences), *_tested(comparison), *_failed(comparison)])


def best_row(comparison: Comparison, condition: str) -> Row | None:
    """Return the group that dev would choose on a condition: of the highest mean, the first of equal ones.

    Numbers without a score of dev, as those of other tools, are chosen by the score that is shown.
    """
    rows = [r for r in comparison.rows if r.condition == condition and comparison.score in r.numbers]
    key = DEV if all(DEV in row.numbers for row in rows) else comparison.score
    return max(rows, key=lambda row: row.numbers[key].mean, default=None)


def _best_on(comparison: Comparison, condition: str) -> str:
    row = best_row(comparison, condition)
    if row is None:
        return f"On {condition}, no run gave results."
    spread = row.numbers[comparison.score]
    chosen = "" if len(comparison.groups) == 1 else " is best on dev and"
    reached = (
        f"'{row.group}'{chosen} reaches {percent(spread.mean)} test {TITLES[comparison.metric_on(condition)]}"
    )
    if spread.low is None or spread.high is None:
        return f"On {condition}, {reached} with its one seed."
    bounds = f"95 % interval {100 * spread.low:.1f} to {100 * spread.high:.1f}"
    return f"On {condition}, {reached} over {spread.n} seeds ({bounds})."


def _tested(comparison: Comparison) -> list[str]:
    """Say what the tests against the reference show, all conditions together."""
    tests, reference = comparison.tests, f"'{comparison.reference}'"
    if not tests:
        return _untested(comparison)
    above = [test for test in tests if test.adjusted < LEVEL and test.difference > 0]
    below = [test for test in tests if test.adjusted < LEVEL and test.difference < 0]
    if not above and not below:
        lowest = min(test.adjusted for test in tests)
        return [f"The tests tell none of the others from {reference} (the lowest p is {lowest:.2g})."]
    parts = [
        f"{_named(passed)} {'is' if len(passed) == 1 else 'are'} {side} it"
        for passed, side in ((above, "above"), (below, "below"))
        if passed
    ]
    rest = len(tests) - len(above) - len(below)
    others = f"; {rest} cannot be told from it" if rest else ""
    return [f"Tested against {reference}, {' and '.join(parts)}{others}."]


def _untested(comparison: Comparison) -> list[str]:
    """Say why no group was tested: there is one run of each, or too few of them gave results."""
    if len(comparison.groups) == 1:
        return []
    if len({(record.condition, record.seed) for record in comparison.records}) == 1:
        return ["One seed tells no group from another."]
    return [
        f"No other group has two runs with results to pair with those of '{comparison.reference}', so that "
        "none is tested."
    ]


def _named(tests: Sequence[PairedTest]) -> str:
    if len(tests) > 3:
        return f"{len(tests)} groups"
    return " and ".join(f"'{test.group}' ({100 * test.difference:+.1f} points)" for test in tests)


def _failed(comparison: Comparison) -> list[str]:
    failed = sum(record.metrics is None for record in comparison.records)
    return [f"{failed} of {len(comparison.records)} runs failed."] if failed else []
