"""The drawings of a comparison of several groups of runs, as SVG text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from spt.reports.charts import CHOSEN, OTHER, STYLE, as_svg, new_axes


@dataclass(frozen=True)
class Interval:
    """What one group reached.

    Args:
        values: one a run.
        mean: of them.
        low: lower end of the mean's interval; None for a single run.
        high: its upper end.
    """

    values: Sequence[float]
    mean: float
    low: float | None
    high: float | None


def interval_chart(groups: Mapping[str, Interval], score: str) -> str:
    """Draw a line a group: each run as a dot, the mean and its interval.

    Args:
        groups: label -> what it reached, top line first.
        score: title of the axis.
    """
    with rc_context({**STYLE, "axes.grid.axis": "x"}):
        figure, axes = new_axes(score, "", _height(len(groups)))
        for line, group in enumerate(groups.values()):
            axes.scatter(group.values, [line] * len(group.values), color=OTHER, s=16, zorder=2)
            if group.low is not None and group.high is not None:
                axes.plot([group.low, group.high], [line, line], color=CHOSEN, linewidth=2)
            axes.scatter([group.mean], [line], color=CHOSEN, s=36, zorder=3)
        _name_lines(axes, list(groups))
        return as_svg(figure)


def value_chart(groups: Mapping[float, Interval], value: str, score: str) -> str:
    """Draw the score against a varied number: each run as a dot, means joined, intervals as bars.

    Args:
        groups: the number -> what it reached.
        value: title of the horizontal axis.
        score: title of the vertical one.
    """
    with rc_context(STYLE):
        figure, axes = new_axes(value, score)
        numbers = sorted(groups)
        # evenly spaced, as most sweeps go in factors
        for place, number in enumerate(numbers):
            group = groups[number]
            axes.scatter([place] * len(group.values), group.values, color=OTHER, s=16, zorder=2)
            if group.low is not None and group.high is not None:
                axes.plot([place, place], [group.low, group.high], color=CHOSEN, linewidth=2)
        means = [groups[number].mean for number in numbers]
        axes.plot(range(len(numbers)), means, color=CHOSEN, marker="o", zorder=3)
        axes.set_xticks(range(len(numbers)), [f"{number:g}" for number in numbers])
        return as_svg(figure)


def rank_chart(ranks: Mapping[str, float], critical_difference: float) -> str:
    """Draw mean ranks, best on top, with bars of one critical difference: bars that do not meet differ.

    Args:
        ranks: label -> mean rank, 1 being the best.
        critical_difference: of two mean ranks.

    Source: Demšar, JMLR 2006, in the form of a line a group.
    """
    with rc_context({**STYLE, "axes.grid.axis": "x"}):
        figure, axes = new_axes("mean rank (1 is best)", "", _height(len(ranks)))
        ordered = sorted(ranks, key=lambda label: ranks[label])
        for line, label in enumerate(ordered):
            rank, reach = ranks[label], critical_difference / 2
            axes.plot([rank - reach, rank + reach], [line, line], color=CHOSEN, linewidth=2)
            axes.scatter([rank], [line], color=CHOSEN, s=36, zorder=3)
        _name_lines(axes, ordered)
        return as_svg(figure)


def layer_chart(shares: Mapping[str, Sequence[float]]) -> str:
    """Draw groups by layers: the share of runs that chose each layer.

    Args:
        shares: label -> a share in [0, 1] for each layer, all of the same number of layers.
    """
    table = list(shares.values())
    with rc_context({**STYLE, "axes.grid": False}):
        figure, axes = new_axes("layer", "", _height(len(table)))
        # a mesh stays lines and colours, where an image would be a bitmap inside the SVG
        axes.pcolormesh(table, cmap="Blues", vmin=0, vmax=1.2, edgecolors="white", linewidth=1)
        for line, row in enumerate(table):
            for layer, share in enumerate(row):
                shade = "white" if share > 0.7 else "black"
                axes.text(layer + 0.5, line + 0.5, f"{share:.0%}", ha="center", va="center", color=shade)
        layers = range(len(table[0]))
        axes.set_xticks([layer + 0.5 for layer in layers], [str(layer) for layer in layers])
        _name_lines(axes, list(shares), offset=0.5)
        return as_svg(figure)


def gates_chart(histories: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Draw the gates of several searches of the same backbone: a colour a layer, a line a search.

    Args:
        histories: lines of each search's gates.jsonl: epoch, step in the epoch, and the gate in [0, 1] of
            each layer.
    """
    layers = sorted(histories[0][0]["gates"], key=int)
    viridis = colormaps["viridis"].resampled(len(layers))
    colours = {layer: viridis(rank) for rank, layer in enumerate(layers)}
    with rc_context(STYLE):
        figure, axes = new_axes("epoch of the search", "gate")
        for records in histories:
            steps = 1 + max(record["step"] for record in records)
            times = [record["epoch"] + (record["step"] + 1) / steps for record in records]
            for layer in layers:
                gates = [record["gates"][layer] for record in records]
                axes.plot(times, gates, color=colours[layer], linewidth=1)
        for layer in layers:
            axes.plot([], [], color=colours[layer], label=layer)
        axes.set_ylim(0, 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(title="layer", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        return as_svg(figure)


def _height(lines: int) -> float:
    """Return the inches that so many lines and an axis take."""
    return 0.8 + 0.32 * lines


def _name_lines(axes: Axes, labels: Sequence[str], offset: float = 0.0) -> None:
    """Write labels from top to bottom."""
    axes.set_yticks([line + offset for line in range(len(labels))], labels)
    axes.set_ylim(len(labels) - 0.5 + offset, -0.5 + offset)
