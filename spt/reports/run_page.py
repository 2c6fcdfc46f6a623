"""The page that a run leaves for people: the answer first, then what bears it out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spt.reports.page import Page, Section, made_with, write_page
from spt.reports.parts.calibration import calibration_section
from spt.reports.parts.cost import cost_section
from spt.reports.parts.data import data_section
from spt.reports.parts.errors import errors_section
from spt.reports.parts.headline import answer, facts
from spt.reports.parts.layers import layers_section
from spt.reports.parts.learning import learning_section
from spt.reports.parts.scores import score_section
from spt.reports.parts.words import words_section
from spt.reports.run_files import RunFiles

KIND = "selective prompt tuning"


def write_report(
    folder: Path,
    metrics: Mapping[str, Any],
    baselines: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write report.html, one file without outside parts, and its pictures into figures/.

    Args:
        folder: of the run, with config.yml and architecture.json; what else is there is shown.
        metrics: of the run, as in metrics.json.
        baselines: title -> scores of what needs no prompt, as metrics.json has them.

    Raises:
        InputError: for a file of the folder that is damaged.
    """
    path = folder / "report.html"
    write_page(path, run_page(RunFiles.read(folder, metrics, baselines or {})))
    return path


def run_page(run: RunFiles) -> Page:
    """Make the page of a run: the answer first, then what bears it out, then what it was made with."""
    metrics = run.metrics
    warnings = metrics.get("warnings", ())
    sections = [
        Section("Warnings", bullets=warnings) if warnings else None,
        score_section(run),
        layers_section(run),
        learning_section(run),
        errors_section(run),
        calibration_section(run),
        cost_section(run),
        data_section(run),
        words_section(run),
        made_with({"date": metrics.get("date"), "versions": run.versions, "machine": run.machine}),
        Section("Configuration", ["As resolved, with all defaults."], code=_as_yaml(run.config), folded=True),
    ]
    subtitle = (
        f"Task {metrics['task']}, backbone {metrics['backbone']}, strategy {metrics['strategy']}, "
        f"seed {metrics['seed']}"
    )
    shown = [section for section in sections if section is not None]
    return Page(KIND, run.config["name"], subtitle, answer(run), facts(run), shown)


def _as_yaml(config: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    return text
