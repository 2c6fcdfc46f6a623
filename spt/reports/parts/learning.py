"""How search and training went, epoch by epoch."""

from __future__ import annotations

from spt.reports.charts import STAGE_NAMES, learning_chart
from spt.reports.drawing import Picture
from spt.reports.page import Section
from spt.reports.run_files import RunFiles

# key of history.jsonl -> what it is, and how it is read
CURVES = {
    "dev": (
        "dev score",
        "Dev score after each epoch: of the hyper-network while searching, then of the prompts.",
    ),
    "loss": ("mean loss", "Mean loss of each epoch's steps, on training rows."),
}
NOTHING = "No curve was noted: nothing was trained epoch by epoch in this folder."


def learning_section(run: RunFiles) -> Section:
    """Draw dev scores and losses over the epochs."""
    pictures = [picture for key in CURVES if (picture := _picture(run, key)) is not None]
    return Section("Learning", [] if pictures else [NOTHING], pictures=pictures)


def _picture(run: RunFiles, key: str) -> Picture | None:
    title, caption = CURVES[key]
    ends = []
    for stage, records in run.curves.items():
        values = [record[key] for record in records if record.get(key) is not None]
        if values:
            ends.append(
                f"{STAGE_NAMES[stage]} from {values[0]:.3g} to {values[-1]:.3g} in {len(values)} epochs"
            )
    if not ends:
        return None
    name = "learning" if key == "dev" else key
    return Picture(name, learning_chart(run.curves, key, title), caption, f"{title}: {'; '.join(ends)}.")
