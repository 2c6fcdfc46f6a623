"""Answers a second over the number of tasks, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from spt.reports.drawing import STYLE
from spt.reports.palette import LIGHT, OTHER

TITLES = {"one_text": "one text", "stream": "a stream of texts"}
# the rest is grey
COLOURS = {
    "fan_out": LIGHT["blue"],
    "fan_out_known": LIGHT["sky"],
    "separate_passes": LIGHT["orange"],
    "peft_lora_switched": LIGHT["purple"],
    "peft_lora_mixed": LIGHT["yellow"],
    "adapters_parallel_late": LIGHT["green"],
}


def chart(records: Sequence[Mapping[str, Any]]) -> str:
    """Draw the answers (tasks x texts) a second of each system over the number of tasks, as SVG text."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 4.5), layout="constrained")
        grid = figure.subplots(1, len(TITLES), squeeze=False)[0]
        for axes, (workload, title) in zip(grid, TITLES.items(), strict=True):
            for name in dict.fromkeys(record["system"] for record in records):
                points = [r for r in records if r["system"] == name and r["workload"] == workload]
                heights = [r["tasks_texts_per_second"] for r in points]
                colour = COLOURS.get(name, OTHER)
                axes.plot([r["tasks"] for r in points], heights, "o-", color=colour, label=name)
            axes.set(title=title, xlabel="tasks", xscale="log", yscale="log")
            ticks = sorted({record["tasks"] for record in records})
            axes.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
            axes.set_xticks([], minor=True)
        grid[0].set_ylabel("answers a second")
        grid[-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
