"""Differences between records of the same seed: what the seed brings is in both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from experiments.comparing.statistics import Spread, spread


def by_seed(records: Iterable[Mapping[str, Any]], key: str) -> dict[int, float]:
    """Return seed -> figure of the records that have it; a failed one has not."""
    return {record["seed"]: record[key] for record in records if key in record}


def difference(figures: Mapping[int, float], reference: Mapping[int, float]) -> Spread | None:
    """Return the spread of what figures are above the reference's of the same seed.

    Args:
        figures: by seed.
        reference: by seed.

    Returns:
        None where they have no seed in common.
    """
    differences = [figure - reference[seed] for seed, figure in figures.items() if seed in reference]
    return spread(differences) if differences else None
