"""What a run leaves for people: an HTML report of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from spt.architecture import PromptLayers
from spt.files import write_text
from spt.json_files import read_json_lines
from spt.metrics import TITLES, scores_beside
from spt.reports.charts import gate_chart, learning_chart
from spt.reports.page import templates
from spt.serving.neighbours import Reading
from spt.training.history import ADVICE
from spt.yaml_files import read_yaml

STAGES = ("search", "train")


def write_report(
    folder: Path,
    metrics: Mapping[str, Any],
    readings: Sequence[Reading] = (),
    baselines: Mapping[str, Any] | None = None,
) -> Path:
    """Write report.html, one file without outside parts, from what a run folder holds.

    Args:
        folder: with config.yml and architecture.json; search/gates.jsonl and {search,train}/history.jsonl
            are drawn where they are.
        metrics: of the run, as in metrics.json.
        readings: of a free prompt at the input, as `read_input` gives them.
        baselines: title -> scores with dev_metric and test_metric of what needs no prompt.
    """
    config = read_yaml(folder / "config.yml", "config")
    architecture = PromptLayers.load(folder / "architecture.json")
    gates = read_json_lines(folder / "search" / "gates.jsonl", ADVICE)
    curves = {stage: read_json_lines(folder / stage / "history.jsonl", ADVICE) for stage in STAGES}
    page = templates().get_template("report.html")
    path = folder / "report.html"
    html = page.render(
        run=config["run"],
        versions=config["versions"],
        machine=config["machine"],
        metrics=metrics,
        metric=TITLES[metrics["metric"]],
        beside=scores_beside(metrics),
        warnings=metrics.get("warnings", ()),
        answers=metrics.get("answers"),
        baselines=baselines or {},
        layers=_stack(architecture, metrics["gates"] or {}, metrics["scores"] or {}),
        gate_chart=gate_chart(gates, architecture.layers) if gates else None,
        learning_chart=learning_chart(curves) if any(curves.values()) else None,
        readings=readings,
        config=yaml.safe_dump(config["run"], sort_keys=False, allow_unicode=True),
    )
    write_text(path, html)
    return path


def _stack(
    architecture: PromptLayers, gates: Mapping[str, float], scores: Mapping[str, float]
) -> list[tuple[int, str, float | None, float | None]]:
    """List each layer from the top, what happens to the prompt before it, and its gate and score if any."""
    first = min(architecture.layers, default=architecture.total)
    shown = {} if scores == gates else scores

    def part(layer: int) -> str:
        if layer in architecture.layers:
            return "insert"
        return "none" if layer < first else "propagate"

    return [
        (layer, part(layer), gates.get(str(layer)), shown.get(str(layer)))
        for layer in reversed(range(architecture.total))
    ]
