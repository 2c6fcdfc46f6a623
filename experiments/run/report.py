"""The report of a run, written when it ends, or anew from what its folder holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from experiments.run.folder import RunFolder
from experiments.run.results import RunMetrics
from experiments.run.simple_baselines.scores import TITLES
from spt.errors import InputError
from spt.reports.run_page import write_report
from spt.serving.neighbours import Reading
from spt.storage.files import write_text


def report_again(folder: Path) -> Path:
    """Write the report of a finished run anew; one of an older version lacks what that did not note.

    Args:
        folder: of the run.

    Raises:
        InputError: if it holds no finished run, or a damaged file.
    """
    place = RunFolder(folder)
    if not place.metrics.exists():
        raise InputError(
            f"'{folder}' holds no finished run: metrics.json is missing. Name the folder of a run, or end it "
            "by the command that began it."
        )
    return write_run_report(place, RunMetrics.read(place.metrics))


def write_run_report(folder: RunFolder, metrics: RunMetrics) -> Path:
    """Write report.html and figures/ of a run from its metrics and what else is in its folder."""
    baselines = {TITLES[name]: asdict(score) for name, score in (metrics.baselines or {}).items()}
    return write_report(folder.path, metrics.as_json(), baselines)


def keep_readings(folder: RunFolder, readings: Sequence[Reading]) -> None:
    """Write the nearest words of a free prompt at the input, where there are any, for the report."""
    if readings:
        content = {"readings": [asdict(reading) for reading in readings]}
        write_text(folder.nearest_words, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
