"""The pictures of pages: scores and their intervals, curves over epochs, confidence, confusion and cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from spt.reports.drawing import drawing, label_margin, tip, wrapped
from spt.reports.palette import CHOSEN, LIGHT, OTHER, SERIES

# share of the vertical axis that a line's name takes
NAME_HEIGHT = 0.075
STAGE_LOOKS: Mapping[str, Mapping[str, Any]] = {
    "search": {"color": LIGHT["orange"], "marker": "s", "linestyle": "--"},
    "train": {"color": CHOSEN, "marker": "o", "linestyle": "-"},
}
STAGE_NAMES = {"search": "search", "train": "training"}


@dataclass(frozen=True)
class Interval:
    """Hold what one line of a picture reached.

    Attributes:
        values: one a run, as dots.
        mean: of them, or the one score there is.
        low: lower end of its interval; None where there is none.
        high: its upper end.
    """

    values: Sequence[float]
    mean: float
    low: float | None = None
    high: float | None = None


def interval_chart(lines: Mapping[str, Interval], score: str, emphasised: Collection[str] = ()) -> Figure:
    """Draw a line a group: each run as a dot, the mean and its interval.

    Args:
        lines: label -> what it reached, top line first; scores in fractions.
        score: title of the axis.
        emphasised: labels in the colour of what was chosen; all of them where none is named.
    """
    margin = label_margin(list(map(wrapped, lines)))
    with drawing(f"{score}, %", "", 0.75 + 0.36 * len(lines), margin, 0.25, grid="x") as (figure, axes):
        for place, (label, line) in enumerate(lines.items()):
            colour = CHOSEN if not emphasised or label in emphasised else OTHER
            _draw_interval(axes, place, label, line, colour)
        name_lines(axes, list(lines))
        axes.xaxis.set_major_formatter(FuncFormatter(_percent_tick))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        return figure


def _draw_interval(axes: Axes, place: int, label: str, line: Interval, colour: str) -> None:
    shown = f"{label}: {100 * line.mean:.1f} %"
    if line.low is not None and line.high is not None:
        shown += f", {100 * line.low:.1f} to {100 * line.high:.1f}"
        axes.plot([line.low, line.high], [place, place], color=colour, linewidth=2.5, solid_capstyle="butt")
    if len(line.values) > 1:
        dots = axes.scatter(line.values, [place + 0.22] * len(line.values), color=OTHER, s=9, zorder=2)
        tip(
            dots,
            f"{label}: runs at {', '.join(f'{100 * value:.1f}' for value in sorted(line.values)[:40])} %",
        )
    (mean,) = axes.plot([line.mean], [place], color=colour, marker="o", markersize=7, zorder=3)
    tip(mean, shown)


def gate_chart(searches: Sequence[Sequence[Mapping[str, Any]]], chosen: Collection[int]) -> Figure:
    """Draw each layer's gate over the epochs of searches, with the chosen layers named at their lines.

    A gate that was shut for good is exactly 0 from then on: its line ends there, with a cross.

    Args:
        searches: lines of each search's gates.jsonl: epoch, step in the epoch, and the gate in [0, 1] of each
            layer that it searched, which need not be the same.
        chosen: the layers that were kept.
    """
    names = {str(layer) for layer in chosen}
    with drawing("epoch of the search", "gate", right=0.62) as (figure, axes):
        searched = {layer for records in searches for layer in records[0]["gates"]}
        for layer in sorted(searched, key=lambda layer: (layer in names, int(layer))):
            for records in searches:
                if layer not in records[0]["gates"]:
                    continue
                gates = [record["gates"][layer] for record in records]
                _draw_gate(axes, layer, epochs_of(records), gates, layer in names, thin=len(searches) > 1)
        last = [records[-1]["gates"] for records in searches]
        ends = {layer: fmean(gates[layer] for gates in last if layer in gates) for layer in searched}
        name_ends(axes, max(epochs_of(records)[-1] for records in searches), ends, names)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        return figure


def _draw_gate(
    axes: Axes, layer: str, times: Sequence[float], gates: Sequence[float], kept: bool, thin: bool
) -> None:
    opened = [(time, gate) for time, gate in zip(times, gates, strict=True) if gate > 0]
    if not opened:
        return
    colour, width = (CHOSEN, 2.4) if kept else (OTHER, 1.2)
    (line,) = axes.plot(*zip(*opened, strict=True), color=colour, linewidth=0.5 * width if thin else width)
    line.set_zorder(2 + kept)
    shut = len(opened) < len(gates)
    if shut:
        axes.plot(*opened[-1], color=colour, marker="x", markersize=6)
    end = "shut for good" if shut else f"{gates[-1]:.3f} at the end"
    tip(line, f"layer {layer}: gate {end}{', kept' if kept else ''}")


def epochs_of(records: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return when each line of gates.jsonl was noted, in epochs."""
    steps = 1 + max(record["step"] for record in records)
    return [record["epoch"] + (record["step"] + 1) / steps for record in records]


def name_ends(axes: Axes, end: float, values: Mapping[str, float], chosen: Collection[str]) -> None:
    """Name the lines of chosen layers at their ends, apart from each other where the lines are not.

    Args:
        axes: that the lines are on.
        end: where they end, on the x-axis.
        values: layer -> its line's last value.
        chosen: of these layers, those to be named.
    """
    low, high = axes.get_ylim()
    least = NAME_HEIGHT * (high - low)
    named = [layer for layer in sorted(values, key=lambda layer: values[layer]) if layer in chosen]
    places = _apart([values[layer] for layer in named], least, high)
    for layer, place in zip(named, places, strict=True):
        axes.annotate(
            f"layer {layer}",
            (end, values[layer]),
            (1.015, (place - low) / (high - low)),
            textcoords="axes fraction",
            va="center",
            color=CHOSEN,
            fontweight="bold",
        )


def _apart(values: Sequence[float], least: float, highest: float) -> list[float]:
    """Return rising values moved so that neighbours are at least so far apart, below a highest value."""
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + least) if places else value)
    for index in reversed(range(len(places))):
        limit = places[index + 1] - least if index + 1 < len(places) else highest
        places[index] = min(places[index], limit)
    return places


def learning_chart(curves: Mapping[str, Sequence[Mapping[str, Any]]], key: str, title: str) -> Figure:
    """Draw a number of search and training after each epoch.

    Args:
        curves: stage -> lines of its history.jsonl: epoch (from 0) and the number.
        key: of the number: dev or loss; lines without it are left out.
        title: of the number.
    """
    with drawing("epoch", title) as (figure, axes):
        for stage, records in curves.items():
            values = {record["epoch"] + 1: record[key] for record in records if record.get(key) is not None}
            if not values:
                continue
            axes.plot(
                list(values),
                list(values.values()),
                label=STAGE_NAMES[stage],
                markersize=5,
                **STAGE_LOOKS[stage],
            )
            for epoch, value in values.items():
                (dot,) = axes.plot([epoch], [value], marker="o", markersize=9, alpha=0.01, color=CHOSEN)
                tip(dot, f"{STAGE_NAMES[stage]}, epoch {epoch}: {value:.4g}")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.legend()
        return figure


def confidence_chart(bins: Sequence[tuple[int, float, float]]) -> Figure:
    """Draw how often answers are right against how probable they were: on the line, the two agree.

    Args:
        bins: rows, mean probability of the answer, and share that is right; lowest probability first.
    """
    rows = sum(count for count, _, _ in bins)
    with drawing("probability of the answer", "share that is right", 3.2, grid="both") as (figure, axes):
        axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1.2, linestyle="--")
        axes.plot([each[1] for each in bins], [each[2] for each in bins], color=CHOSEN, linewidth=1.2)
        for count, confidence, accuracy in bins:
            size = 4 + 14 * (count / rows) ** 0.5
            (dot,) = axes.plot(
                [confidence], [accuracy], marker="o", color=CHOSEN, markersize=size, alpha=0.85
            )
            tip(dot, f"{count} rows: probability {confidence:.2f}, {100 * accuracy:.0f} % right")
        axes.set_xlim(0, 1.03)
        axes.set_ylim(0, 1.05)
        return figure


def confusion_chart(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """Draw labels by answers, each cell shaded by its share of the label's rows.

    Args:
        names: of the classes.
        counts: rows, [label][answer].
    """
    labels = [wrapped(name, 12) for name in names]
    side = label_margin(labels)
    with drawing("answer", "", 0.75 + side + 0.3 * len(names), side, 0.2, grid="") as (figure, axes):
        figure.subplots_adjust(bottom=(side + 0.25) / figure.get_figheight())
        shares = [[count / max(1, sum(line)) for count in line] for line in counts]
        # a mesh stays lines and colours, where an image would be a bitmap inside the SVG
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1.2, edgecolors=LIGHT["paper"], linewidth=1)
        for line, row in enumerate(counts):
            for column, count in enumerate(row):
                colour = LIGHT["paper"] if shares[line][column] > 0.7 else LIGHT["ink"]
                if count:
                    axes.text(column + 0.5, line + 0.5, str(count), ha="center", va="center", color=colour)
        places = [place + 0.5 for place in range(len(names))]
        axes.set_xticks(places, labels, rotation=90 if side > 0.5 else 0)
        name_lines(axes, labels, offset=0.5)
        return figure


def cost_chart(lines: Mapping[str, Mapping[str, float]], unit: str) -> Figure:
    """Draw costs as bars, each made of parts, whose colours are named below.

    Args:
        lines: label -> part -> its cost.
        unit: title of the axis.
    """
    margin = label_margin(list(map(wrapped, lines)))
    parts = list(dict.fromkeys(part for line in lines.values() for part in line))
    with drawing(unit, "", 1.15 + 0.4 * len(lines), margin, 0.25, grid="x") as (figure, axes):
        for place, (label, line) in enumerate(lines.items()):
            begin = 0.0
            for part, cost in line.items():
                colour = SERIES[parts.index(part) % len(SERIES)]
                bar = axes.barh(place, cost, left=begin, height=0.62, color=colour, edgecolor=LIGHT["paper"])
                tip(bar.patches[0], f"{label}, {part}: {cost:.3g}")
                begin += cost
        for number, part in enumerate(parts):
            axes.barh(0, 0, color=SERIES[number % len(SERIES)], label=part)
        name_lines(axes, list(lines))
        columns = min(3, len(parts))
        figure.legend(loc="lower left", ncols=columns, borderaxespad=0.2, handlelength=1.1, columnspacing=1.2)
        height = figure.get_figheight()
        figure.subplots_adjust(bottom=(0.55 + 0.2 * -(-len(parts) // columns)) / height)
        return figure


def name_lines(axes: Axes, labels: Sequence[str], offset: float = 0.0) -> None:
    """Write labels from top to bottom."""
    axes.set_yticks([line + offset for line in range(len(labels))], list(map(wrapped, labels)))
    axes.set_ylim(len(labels) - 0.5 + offset, -0.5 + offset)
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])


def _percent_tick(value: float, place: int) -> str:  # noqa: ARG001
    return f"{100 * value:g}"
