"""The JSON of a bench of methods: a line a run, a line a rate tried, and what each was made with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
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
Group = tuple[Hashable, ...]
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
    """Read the lines of benchmarks/results/<name>.json under today's names; none where there is no such file.

    Raises:
        InputError: for the result of another bench.
    """
    lines = stored_lines(name, "methods")
    return {part: [_with_current_names(line) for line in lines[part]] for part in PARTS}


def stored_lines(name: str, bench: str, summaries: Collection[str] = ()) -> Lines:
    """Read the lines of benchmarks/results/<name>.json as they are; none where there is no such file.

    Args:
        name: of the JSON.
        bench: as the command line has it.
        summaries: keys of what its JSON tells of all lines together.

    Raises:
        InputError: for the result of another bench.
    """
    if not path_of(name).exists():
        return no_lines()
    content = load(name)
    if content.keys() != {"measurements", *summaries, *PARTS}:
        raise InputError(
            f"'{path_of(name)}' is no result of `python -m benchmarks {bench}`. Choose another --result."
        )
    return {part: [_with_made(line, content["measurements"]) for line in content[part]] for part in PARTS}


def _with_made(line: Line, measurements: Sequence[Any]) -> Line:
    rest = {key: value for key, value in line.items() if key != "measurement"}
    return {**rest, "made": measurements[line["measurement"]]}


def _with_current_names(line: Line) -> Line:
    made = line["made"]
    rest = {key: value for key, value in line.items() if key != "made"}
    return line if "failure" in rest else {**with_current_names(rest), "made": made}


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


def group_of(line: Mapping[str, Any]) -> Group:
    """Return method and condition."""
    return line["method"], line["condition"]


def added(
    earlier: Lines, lines: Lines, groups: Sequence[Group], group: Callable[[Line], Group] = group_of
) -> Lines:
    """Return the lines with earlier ones of the other groups, in the order of `groups`.

    Args:
        earlier: lines; those of no group of `groups` are left out.
        lines: that take the place of earlier ones of their groups.
        groups: of the bench.
        group: of a line; method and condition by default.
    """
    others = set(groups) - {group(line) for line in lines["records"]}
    kept = {part: [line for line in earlier[part] if group(line) in others] for part in PARTS}
    return {
        part: sorted([*kept[part], *lines[part]], key=lambda line: groups.index(group(line)))
        for part in PARTS
    }


def record_of(line: Mapping[str, Any]) -> RunRecord:
    """Return the run of a line, to be compared with others."""
    failure = line.get("failure")
    metrics = None if failure else {key: value for key, value in line.items() if key not in WHICH}
    values = {key: line[key] for key in ("task", "shots")}
    return RunRecord(line["method"], line["condition"], line["seed"], values, metrics, failure)
