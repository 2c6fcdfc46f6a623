"""Derived seeds: those that runs have always had, and none twice."""

from __future__ import annotations

import pytest

from spt.seeds import FEW, MANY, derived_seed


def test_seeds_are_those_of_earlier_versions() -> None:
    assert derived_seed(3, 4) == 30_025
    assert derived_seed(3, 4, MANY) == 3_000_013


@pytest.mark.parametrize("most", [FEW, MANY])
def test_no_number_under_a_seed_meets_one_under_the_next(most: int) -> None:
    assert derived_seed(0, most - 1, most) < derived_seed(1, 0, most)
