"""The JSON of a bench of methods: a line a run, a line a rate tried, and what each was made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import load, path_of, save
from experiments.comparing.columns import Column, percent, tera, whole_number
from experiments.comparing.groups import SCORE, RunRecord
from experiments.run.results import with_current_names
from spt.errors import InputError

# a line's 'made' is its command, date, versions and machine; the file has each of these once
Line = dict[str, Any]
Lines = dict[str, list[Line]]
PARTS = ("sweep", "records")
COLUMNS = (
    Column("dev_metric", "dev {metric}", percent),
    Column(SCORE, "test {metric}", percent),
    Column("tunable_parameters", "parameters", whole_number),
    Column("learning_rate", "learning rate", lambda spread: f"{spread.mean:g}"),
    Column("bytes", "bytes on disk", whole_number),
    Column("total_flops", "10^12 FLOPs", tera),
    Column("total_seconds", "seconds", whole_number),
    Column("peak_bytes", "peak memory in MB", lambda spread: f"{spread.mean / 1e6:,.0f}"),
)
WHICH = ("method", "condition", "task", "shots", "seed", "failure", "made")


def no_lines() -> Lines:
    """Return the lines of a bench that has measured nothing."""
    return {part: [] for part in PARTS}


def read_lines(name: str) -> Lines:
    """Read the lines of benchmarks/results/<name>.json; none where there is no such file.

    Raises:
        InputError: for the result of another bench.
    """
    if not path_of(name).exists():
        return no_lines()
    content = load(name)
    if "measurements" not in content:
        raise InputError(
            f"'{path_of(name)}' is no result of `python -m benchmarks methods`. Choose another --result."
        )
    return {part: [_with_made(line, content["measurements"]) for line in content[part]] for part in PARTS}


def _with_made(line: Line, measurements: Sequence[Any]) -> Line:
    rest = {key: value for key, value in line.items() if key != "measurement"}
    numbers = rest if "failure" in rest else with_current_names(rest)
    return {**numbers, "made": measurements[line["measurement"]]}


def write_lines(name: str, lines: Lines, **summary: Any) -> Path:
    """Write benchmarks/results/<name>.json, with what is told of all lines together."""
    measurements: list[Any] = []

    def numbered(line: Line) -> Line:
        rest = {key: value for key, value in line.items() if key != "made"}
        if line["made"] not in measurements:
            measurements.append(line["made"])
        return {**rest, "measurement": measurements.index(line["made"])}

    content = {part: [numbered(line) for line in lines[part]] for part in PARTS}
    return save(name, {"measurements": measurements, **summary, **content})


def added(earlier: Lines, lines: Lines, groups: Sequence[tuple[str, str]]) -> Lines:
    """Return the lines with earlier ones of the other (method, condition) of `groups`, in their order."""
    others = set(groups) - {group_of(line) for line in lines["records"]}
    others_lines = {p: [line for line in earlier[p] if group_of(line) in others] for p in PARTS}
    return {
        p: sorted([*others_lines[p], *lines[p]], key=lambda line: groups.index(group_of(line))) for p in PARTS
    }


def group_of(line: Mapping[str, Any]) -> tuple[str, str]:
    """Return method and condition."""
    return line["method"], line["condition"]


def record_of(line: Mapping[str, Any]) -> RunRecord:
    """Return the run of a line, to be compared with others."""
    failure = line.get("failure")
    metrics = None if failure else {key: value for key, value in line.items() if key not in WHICH}
    values = {key: line[key] for key in ("task", "shots")}
    return RunRecord(line["method"], line["condition"], line["seed"], values, metrics, failure)
