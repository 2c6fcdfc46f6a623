"""What the tables of results are written with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from spt.architecture import layers_name

# other rows would add to such an interval
OVER_SEEDS = "with the 95 % interval over seeds, on the same test rows"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table, with an empty one before them."""
    return ["", *(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))]


def layers(numbers: Iterable[int]) -> str:
    """Write layers as '2+3', or 'none'."""
    return layers_name(numbers) or "none"


def command(noted: str) -> str:
    """Return a result's command as code; `spt bench` is how older results noted `python -m benchmarks`."""
    return f"`{re.sub('^spt bench ', 'python -m benchmarks ', noted)}`"


def commands(made: Iterable[Mapping[str, Any]]) -> str:
    """Return each command of what results were made with once, as code."""
    return "; ".join(dict.fromkeys(command(each["command"]) for each in made))


def percent(score: Mapping[str, Any]) -> str:
    """Write '91.2 ± 1.0' for a mean and an sd, which a single run does not have."""
    return f"{100 * score['mean']:.1f} ± {100 * (score['sd'] or 0):.1f}"


def points(score: Mapping[str, Any]) -> str:
    """Write '0.34 ± 0.51', in points, for a mean and an sd, which a single run does not have."""
    return f"{100 * score['mean']:.2f} ± {100 * (score['sd'] or 0):.2f}"


def mean_and_sd(values: Iterable[float | None]) -> str:
    """Write '0.28 ± 0.05' for mean and sd of the values that there are, '0.28' for one, '' for none."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return "".join(f"{value:.2f}" for value in known)
    return f"{fmean(known):.2f} ± {stdev(known):.2f}"


def interval(difference: Mapping[str, Any]) -> str:
    """Write '+1.2 (-0.3 to +2.7)' for the mean of differences and its interval, which one alone has not."""
    mean = f"{100 * difference['mean']:+.1f}"
    if difference["low"] is None:
        return mean
    return f"{mean} ({100 * difference['low']:+.1f} to {100 * difference['high']:+.1f})"
