"""The pictures of a comparison that a run's report has no use for: sweeps, ranks, layers, trade-offs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from spt.pareto import front_of
from spt.reports.charts import Interval, name_lines
from spt.reports.drawing import drawing, label_margin, tip, wrapped
from spt.reports.palette import CHOSEN, LIGHT, OTHER

# costs that lie further apart are drawn on a logarithmic axis
WIDE_RANGE = 10
# height of a line of names
NAME_POINTS = 11


def value_chart(groups: Mapping[float, Interval], value: str, score: str) -> Figure:
    """Draw the score against a varied number: each run as a dot, means joined, intervals as bars.

    Args:
        groups: the number -> what it reached, in fractions.
        value: title of the horizontal axis.
        score: title of the vertical one.
    """
    with drawing(value, f"{score}, %") as (figure, axes):
        numbers = sorted(groups)
        # evenly spaced, as most sweeps go in factors
        for place, number in enumerate(numbers):
            group = groups[number]
            axes.scatter([place + 0.12] * len(group.values), group.values, color=OTHER, s=9, zorder=2)
            if group.low is not None and group.high is not None:
                axes.plot([place, place], [group.low, group.high], color=CHOSEN, linewidth=2)
            (mean,) = axes.plot([place], [group.mean], color=CHOSEN, marker="o", zorder=3)
            tip(mean, f"{value} {number:g}: {100 * group.mean:.1f} %")
        means = [groups[number].mean for number in numbers]
        axes.plot(range(len(numbers)), means, color=CHOSEN, linewidth=1.2)
        axes.set_xticks(range(len(numbers)), [f"{number:g}" for number in numbers])
        axes.yaxis.set_major_formatter(FuncFormatter(_in_percent))
        return figure


def rank_chart(ranks: Mapping[str, float], critical_difference: float) -> Figure:
    """Draw mean ranks, best on top, with bars of one critical difference: bars that do not meet differ.

    Args:
        ranks: label -> mean rank, 1 being the best.
        critical_difference: of two mean ranks.

    Source: Demšar, JMLR 2006, in the form of a line a group.
    """
    ordered = sorted(ranks, key=lambda label: ranks[label])
    margin = label_margin(list(map(wrapped, ordered)))
    with drawing("mean rank (1 is best)", "", 0.75 + 0.36 * len(ranks), margin, grid="x") as (figure, axes):
        for line, label in enumerate(ordered):
            rank, reach = ranks[label], critical_difference / 2
            axes.plot([rank - reach, rank + reach], [line, line], color=CHOSEN, linewidth=2)
            (dot,) = axes.plot([rank], [line], color=CHOSEN, marker="o", markersize=7, zorder=3)
            tip(dot, f"{label}: mean rank {rank:.2f}")
        name_lines(axes, ordered)
        return figure


def layer_chart(shares: Mapping[str, Sequence[float]]) -> Figure:
    """Draw groups by layers: the share of runs that chose each layer.

    Args:
        shares: label -> a share in [0, 1] for each layer, all of the same number of layers.
    """
    table = list(shares.values())
    margin = label_margin(list(map(wrapped, shares)))
    with drawing("layer", "", 0.75 + 0.36 * len(table), margin, grid="") as (figure, axes):
        # a mesh stays lines and colours, where an image would be a bitmap inside the SVG
        axes.pcolormesh(table, cmap="Blues", vmin=0, vmax=1.2, edgecolors=LIGHT["paper"], linewidth=1)
        for line, row in enumerate(table):
            for layer, share in enumerate(row):
                colour = LIGHT["paper"] if share > 0.7 else LIGHT["ink"]
                shown = f"{100 * share:.0f}"
                axes.text(layer + 0.5, line + 0.5, shown, ha="center", va="center", color=colour, fontsize=8)
        layers = range(len(table[0]))
        axes.set_xticks([layer + 0.5 for layer in layers], [str(layer) for layer in layers])
        name_lines(axes, list(shares), offset=0.5)
        return figure


def trade_off_chart(points: Mapping[str, tuple[float, Interval]], cost: str, score: str) -> Figure:
    """Draw scores against a cost, and join the groups that no other beats in both: the Pareto front.

    Args:
        points: label -> cost, and the score it reached, in fractions.
        cost: title of the horizontal axis; less is better.
        score: title of the vertical one; more is better.
    """
    front = front_of(points, lambda label: (points[label][0], points[label][1].mean))
    with drawing(cost, f"{score}, %", 3.2) as (figure, axes):
        for label, (spent, line) in points.items():
            colour = CHOSEN if label in front else OTHER
            if line.low is not None and line.high is not None:
                axes.plot([spent, spent], [line.low, line.high], color=colour, linewidth=1.2)
            (dot,) = axes.plot([spent], [line.mean], color=colour, marker="o", markersize=6, zorder=3)
            tip(dot, f"{label}: {100 * line.mean:.1f} % at {spent:,.4g}")
        steps = [(points[label][0], points[label][1].mean) for label in front]
        axes.plot(*zip(*steps, strict=True), color=CHOSEN, alpha=0.4, linewidth=1.2, drawstyle="steps-post")
        costs = [spent for spent, _ in points.values()]
        if min(costs) > 0 and max(costs) > WIDE_RANGE * min(costs):
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(FuncFormatter(_in_thousands))
        axes.yaxis.set_major_formatter(FuncFormatter(_in_percent))
        axes.margins(0.12)
        _name_front(axes, points, front)
        return figure


def _name_front(axes: Axes, points: Mapping[str, tuple[float, Interval]], front: Sequence[str]) -> None:
    """Write the names of the front at their dots, to the side where there is room, none over another."""
    low, high = axes.get_xlim()
    pixels = axes.figure.dpi / 72
    # where the next name of each side may begin; the front rises
    free: dict[bool, float] = {}
    for label in front:
        spent, line = points[label]
        place = axes.transData.transform((spent, line.mean))
        right = bool(axes.transAxes.inverted().transform(place)[0] > 0.6)
        name = wrapped(label)
        above = max(6.0, (free.get(right, 0.0) - place[1]) / pixels)
        free[right] = place[1] + pixels * (above + NAME_POINTS * (1 + name.count("\n")))
        axes.annotate(
            name,
            (spent, line.mean),
            (-6 if right else 6, above),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize=8.5,
            color=CHOSEN,
        )
    axes.set_xlim(low, high)


def _in_percent(value: float, place: int) -> str:  # noqa: ARG001
    return f"{100 * value:g}"


def _in_thousands(value: float, place: int) -> str:  # noqa: ARG001
    return f"{value:,.6g}"
