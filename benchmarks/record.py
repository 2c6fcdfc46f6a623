"""Results as JSON: what was measured, with what, on what kind of machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from experiments.statistics import spread
from spt.atomic import write_text
from spt.versions import machine, versions

RESULTS = Path(__file__).parent / "results"


def write_result(name: str, command: str, records: Sequence[dict[str, Any]], **summary: Any) -> Path:
    """Write benchmarks/results/<name>.json with the command that made it, versions and machine kind."""
    path = RESULTS / f"{name}.json"
    content = {
        "command": command,
        "date": date.today().isoformat(),
        **summary,
        "records": list(records),
        "versions": versions(),
        "machine": machine(),
    }
    RESULTS.mkdir(exist_ok=True)
    write_text(path, json.dumps(content, indent=1) + "\n")
    return path


def mean_and_spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and sample standard deviation; the latter 0 for a single value."""
    found = spread(values)
    return {"mean": found.mean, "sd": found.sd or 0.0, "n": found.n}
