"""The search space of an experiment with both ends in the place of each range, so that runs can be listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def with_range_ends(space: Mapping[str, Any]) -> dict[str, Any]:
    """Return a search space of choices alone: of a range its lowest and its highest value.

    Raises:
        InputError: naming all ranges that no tuner of ours can draw from.
    """
    ranges = {
        name: spec
        for name, spec in space.items()
        if isinstance(spec, Mapping) and spec.get("_type") not in (None, "choice")
    }
    if not ranges:
        return dict(space)
    # loads optuna, which a space of choices does not need
    from experiments.tuning.space import distributions  # noqa: PLC0415

    drawn: Mapping[str, Any] = distributions(ranges)
    ends = {name: {"_type": "choice", "_value": [each.low, each.high]} for name, each in drawn.items()}
    return {**space, **ends}
