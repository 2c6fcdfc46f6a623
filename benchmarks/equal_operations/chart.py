"""Accuracy against operations, parameters and seconds, drawn: a picture a backbone and number of shots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from itertools import chain
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.equal_operations.summary import DEFAULT
from spt.pareto import front_of
from spt.reports.drawing import STYLE
from spt.reports.palette import LIGHT, OTHER

Entry = Mapping[str, Any]
Point = tuple[float, float]
# title, its scale, and what a number of the summary is divided by
COSTS = {
    "train_flops": ("10^12 operations", "linear", 1e12),
    "tunable_parameters": ("parameters", "log", 1),
    "seconds": ("seconds of a processor", "log", 1),
}
COLOURS = {
    DEFAULT: LIGHT["blue"],
    "lora": LIGHT["orange"],
    "bitfit": LIGHT["yellow"],
    "ia3": LIGHT["purple"],
    "late_prompt": LIGHT["sky"],
    "deep_prompts": LIGHT["green"],
    "setfit": LIGHT["ink"],
}
# the rest is grey
MARKERS = {"prompt_tuning": "v", "tfidf": "s", "linear_probe": "D", DEFAULT: "*"}


def charts(summary: Sequence[Entry]) -> dict[str, str]:
    """Draw the summary of a bench, an SVG text by backbone and number of shots.

    Args:
        summary: as `summary_of` has it.

    Returns:
        Name -> picture, with a row a task and a column a cost.
    """
    measured = [entry for entry in summary if "test_accuracy" in entry]
    settings = dict.fromkeys((entry["backbone"], entry["shots"]) for entry in measured)
    return {
        chart_name(backbone, shots): chart(
            [entry for entry in measured if (entry["backbone"], entry["shots"]) == (backbone, shots)]
        )
        for backbone, shots in settings
    }


def chart_name(backbone: str, shots: int | None) -> str:
    """Return the name of a picture, without an ending."""
    return f"{backbone}_{shots}" if shots else backbone


def chart(entries: Sequence[Entry]) -> str:
    """Draw the mean test accuracy of each method over its costs, a point a budget, and the Pareto front."""
    tasks = list(dict.fromkeys(entry["task"] for entry in entries))
    methods = list(dict.fromkeys(entry["method"] for entry in entries))
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 3.2 * len(tasks)), layout="constrained")
        grid = figure.subplots(len(tasks), len(COSTS), squeeze=False, sharey="row")
        for row, task in zip(grid, tasks, strict=True):
            of_task = [entry for entry in entries if entry["task"] == task]
            for axes, (cost, (title, scale, unit)) in zip(row, COSTS.items(), strict=True):
                lines = {method: _points(of_task, method, cost, unit) for method in methods}
                _draw(axes, lines)
                axes.set(xlabel=title, xscale=scale)
            row[0].set_ylabel(f"{task}, test %")
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _points(entries: Iterable[Entry], method: str, cost: str, unit: float) -> list[Point]:
    """Return cost and test accuracy in % of a method, a budget each, without those that are the same."""
    points = [
        (entry[cost] / unit, 100 * entry["test_accuracy"]["mean"])
        for entry in sorted(entries, key=lambda entry: entry["budget_flops"])
        if entry["method"] == method
    ]
    return list(dict.fromkeys(points))


def _draw(axes: Axes, lines: Mapping[str, Sequence[Point]]) -> None:
    front = front_of(chain.from_iterable(lines.values()), lambda point: point)
    # a cost buys what the cheaper point gives, until the next one
    style: Any = {"color": LIGHT["line"], "linewidth": 5, "drawstyle": "steps-post", "zorder": 0}
    axes.plot(*zip(*front, strict=True), label="Pareto front", **style)
    for method, points in lines.items():
        colour, marker = COLOURS.get(method, OTHER), MARKERS.get(method, "o")
        size = 13 if method == DEFAULT else 6
        across, up = [cost for cost, _ in points], [score for _, score in points]
        axes.plot(across, up, marker=marker, color=colour, linewidth=1, markersize=size, label=method)
