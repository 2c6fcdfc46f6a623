"""The pictures of a tuning study: results trial by trial, over each option, and what decided them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spt.reports.charts import name_lines
from spt.reports.drawing import drawing, label_margin, tip, wrapped
from spt.reports.palette import CHOSEN, OTHER

# numbers that lie further apart are drawn on a logarithmic axis
WIDE_RANGE = 30
# for numbers of three decimals, in inches
MARGIN = 0.75


@dataclass(frozen=True)
class TrialPoint:
    """Hold what a complete trial tried and reached.

    Attributes:
        number: of the trial.
        options: dotted key -> value.
        values: of the objectives, in their order.
        best: whether it is the best one, or of the Pareto set.
    """

    number: int
    options: Mapping[str, Any]
    values: Sequence[float]
    best: bool


def history_chart(points: Sequence[TrialPoint], which: int, objective: str, maximise: bool) -> Figure:
    """Draw an objective of each trial, and the best of all until then.

    Args:
        points: in the order of their numbers.
        which: place of the objective.
        objective: its name.
        maximise: whether more of it is better.
    """
    with drawing("trial", objective, left=MARGIN) as (figure, axes):
        numbers = [point.number for point in points]
        best: list[float] = []
        for point in points:
            value = point.values[which]
            best.append(value if not best else max(best[-1], value) if maximise else min(best[-1], value))
            _dot(axes, point.number, value, point, objective)
        axes.plot(numbers, best, color=CHOSEN, linewidth=1.2, drawstyle="steps-post", zorder=1)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        return figure


def option_chart(points: Sequence[TrialPoint], which: int, objective: str, option: str) -> Figure:
    """Draw an objective of each trial over the value that an option had in it.

    Args:
        points: of which only those that have the option are drawn, at least one.
        which: place of the objective.
        objective: its name.
        option: dotted key.
    """
    drawn = [point for point in points if option in point.options]
    given = [point.options[option] for point in drawn]
    numeric = all(isinstance(value, Real) and not isinstance(value, bool) for value in given)
    names = list(dict.fromkeys(map(str, given)))
    with drawing(option, objective, left=MARGIN) as (figure, axes):
        for point, value in zip(drawn, given, strict=True):
            place = value if numeric else names.index(str(value))
            _dot(axes, place, point.values[which], point, f"{option} {value}, {objective}")
        if not numeric:
            axes.set_xticks(range(len(names)), [wrapped(name, 12) for name in names])
            axes.margins(x=0.15)
        elif min(given) > 0 and max(given) > WIDE_RANGE * min(given):
            axes.set_xscale("log")
        return figure


def importance_chart(shares: Mapping[str, float], objective: str) -> Figure:
    """Draw how much of an objective's variance each option accounts for.

    Args:
        shares: option -> its share in [0, 1], the largest first.
        objective: its name.
    """
    margin = label_margin([wrapped(name) for name in shares])
    title = f"share of the variance of {objective}"
    with drawing(title, "", 0.75 + 0.36 * len(shares), margin, 0.2, grid="x") as (figure, axes):
        for place, (name, share) in enumerate(shares.items()):
            bar = axes.barh(place, share, height=0.55, color=CHOSEN)
            tip(bar.patches[0], f"{name}: {share:.2f}")
        name_lines(axes, list(shares))
        return figure


def pareto_chart(points: Sequence[TrialPoint], objectives: Sequence[str]) -> Figure:
    """Draw the trials by two objectives; those of the Pareto set, which none beats in both, are blue.

    Args:
        points: at least one.
        objectives: names of the two, the first one upwards.
    """
    with drawing(objectives[1], objectives[0], 3.2, left=MARGIN) as (figure, axes):
        for point in points:
            said = f"{objectives[1]} {point.values[1]:.4g}, {objectives[0]}"
            _dot(axes, point.values[1], point.values[0], point, said)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        return figure


def _dot(axes: Axes, x: float, y: float, point: TrialPoint, said: str) -> None:
    colour, size = (CHOSEN, 7) if point.best else (OTHER, 5)
    (dot,) = axes.plot(
        [x], [y], marker="o", color=colour, markersize=size, linestyle="", zorder=2 + point.best
    )
    tip(dot, f"trial {point.number}: {said} {y:.4g}")
