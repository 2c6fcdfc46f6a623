"""The drawings of a report, as SVG text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from io import StringIO
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

CHOSEN = "#1a5fb4"
OTHER = "#a8adb4"
STAGE_COLOURS = {"search": OTHER, "train": CHOSEN}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "spt",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e6e8eb",
}


def gate_chart(records: Sequence[Mapping[str, Any]], chosen: Collection[int]) -> str:
    """Draw each layer's gate over the epochs of a search.

    Args:
        records: lines of gates.jsonl: epoch, step in the epoch, and the gate in [0, 1] of each layer.
        chosen: the layers that were kept.
    """
    steps = 1 + max(record["step"] for record in records)
    times = [record["epoch"] + (record["step"] + 1) / steps for record in records]
    with rc_context(STYLE):
        figure, axes = new_axes("epoch of the search", "gate")
        for layer in sorted(records[0]["gates"], key=int):
            is_chosen = int(layer) in chosen
            gates = [record["gates"][layer] for record in records]
            axes.plot(times, gates, color=CHOSEN if is_chosen else OTHER, linewidth=2 if is_chosen else 1.2)
            if is_chosen:
                end = (times[-1], gates[-1])
                axes.annotate(layer, end, (4, 0), textcoords="offset points", va="center", color=CHOSEN)
        return as_svg(figure)


def learning_chart(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Draw the dev score after each epoch.

    Args:
        curves: stage -> lines of its history.jsonl: epoch (from 0) and dev score.
    """
    with rc_context(STYLE):
        figure, axes = new_axes("epoch", "dev score")
        for stage, records in curves.items():
            if not records:
                continue
            scores = {record["epoch"] + 1: record["dev"] for record in records}
            axes.plot(
                list(scores),
                list(scores.values()),
                marker="o",
                color=STAGE_COLOURS[stage],
                label=stage,
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
        return as_svg(figure)


def new_axes(x: str, y: str, height: float = 3.4) -> tuple[Figure, Axes]:
    """Make an empty figure, 7 inches wide."""
    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def as_svg(figure: Figure) -> str:
    """Return the <svg> element alone, to stand inside HTML."""
    file = StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
