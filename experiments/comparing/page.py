"""A comparison on disk: results.json, table.csv, runs.csv, and report.html with its drawings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from experiments.comparing.charts import (
    Interval,
    gates_chart,
    interval_chart,
    layer_chart,
    rank_chart,
    value_chart,
)
from experiments.comparing.columns import TEST_TITLES, Column, Table, cells_of_test
from experiments.comparing.groups import METRIC, Comparison, Row, RunRecord
from experiments.run.results import with_current_names
from spt.files import write_text
from spt.json_files import checked, read_json
from spt.metrics import TITLES
from spt.provenance import Provenance
from spt.reports.page import Figure, Section, write_page

# group, condition -> the lines of each search's gates.jsonl
Histories = Mapping[tuple[str, str], Sequence[Sequence[Mapping[str, Any]]]]
TESTS = (
    "Paired permutation tests over the same conditions and seeds, two-sided; p by Holm for all groups. "
    "So few pairs cannot give a p below {smallest:.3g}."
)
RANKS = (
    "Mean ranks over {blocks} conditions and seeds; Friedman's test of all groups being alike: p = {p:.3g}. "
    "Two groups differ at 5 % (Nemenyi) where their bars do not meet."
)


def write_results(
    folder: Path,
    title: str,
    comparison: Comparison,
    columns: Sequence[Column],
    command: str,
    histories: Histories | None = None,
) -> None:
    """Write the four files of a comparison into a folder that exists.

    Args:
        folder: for results.json, table.csv, runs.csv and report.html.
        title: of the page.
        comparison: with at least one run that gave results.
        columns: of the table.
        command: that made the results.
        histories: of gates, drawn where there are any.
    """
    table = Table(comparison, columns)
    provenance = Provenance.now(command)
    content = {
        **provenance.as_json(),
        "score": comparison.score,
        "reference": comparison.reference,
        "records": [asdict(record) for record in comparison.records],
        "rows": [{**asdict(row), "stability": row.stability} for row in comparison.rows],
        "tests": [asdict(test) for test in comparison.tests],
        "ranks": _ranks(comparison),
    }
    write_text(folder / "results.json", json.dumps(content, indent=1) + "\n")
    write_text(folder / "table.csv", table.csv())
    write_text(folder / "runs.csv", table.runs_csv())
    write_page(
        folder / "report.html",
        title,
        f"{len(comparison.groups)} groups, {len(comparison.records)} runs",
        [
            *_conditions(table),
            *_tests(comparison),
            *_rank_section(comparison),
            *_gates(histories or {}),
            *_failures(comparison),
        ],
        provenance.as_json(),
    )


@dataclass(frozen=True)
class _Records:
    """What is read of a results.json."""

    records: tuple[RunRecord, ...]


def read_records(path: Path) -> list[RunRecord]:
    """Read the runs of a results.json of this version or an older one, to be compared anew or with others."""
    advice = "The command that it notes writes it again."
    records = checked(_Records, read_json(path, advice), f"'{path}'", advice).records
    return [
        record if record.metrics is None else replace(record, metrics=with_current_names(record.metrics))
        for record in records
    ]


def _ranks(comparison: Comparison) -> dict[str, Any] | None:
    if comparison.ranks is None:
        return None
    groups, ranks = comparison.ranks
    return {"groups": groups, **asdict(ranks)}


def _conditions(table: Table) -> list[Section]:
    """Make a table and the drawings of each condition."""
    comparison = table.comparison
    sections = []
    for condition in comparison.conditions:
        rows = [row for row in comparison.rows if row.condition == condition]
        sections.append(
            Section(
                condition,
                table.head(condition),
                [table.cells(row) for row in rows],
                figures=_figures(comparison, condition, rows),
            )
        )
    return sections


def _figures(comparison: Comparison, condition: str, rows: Sequence[Row]) -> list[Figure]:
    figures = []
    score = comparison.score.replace("_", " ").replace(METRIC, TITLES[comparison.metric_on(condition)])
    scored = {row.group: _interval(comparison, row) for row in rows if comparison.score in row.numbers}
    varied = comparison.varied_number
    if scored and varied is None:
        caption = f"{_capitalised(score)}: each run, the mean and its 95 % interval."
        figures.append(Figure(interval_chart(scored, score), caption))
    elif scored and varied is not None:
        key, numbers = varied
        caption = f"{_capitalised(score)} against {key}: each run, means and their 95 % intervals."
        by_number = {numbers[group]: interval for group, interval in scored.items()}
        figures.append(Figure(value_chart(by_number, key, score), caption))
    chosen = {row.group: row.shares for row in rows if row.layers}
    if chosen:
        figures.append(Figure(layer_chart(chosen), "The share of runs that chose each layer."))
    return figures


def _capitalised(text: str) -> str:
    # str.capitalize would write F1 small
    return text[:1].upper() + text[1:]


def _interval(comparison: Comparison, row: Row) -> Interval:
    spread = row.numbers[comparison.score]
    return Interval(comparison.scores_of(row), spread.mean, spread.low, spread.high)


def _tests(comparison: Comparison) -> list[Section]:
    if not comparison.tests:
        return []
    rows = [cells_of_test(test) for test in comparison.tests]
    text = TESTS.format(smallest=min(test.smallest for test in comparison.tests))
    return [Section(f"Beside {comparison.reference}", TEST_TITLES, rows, text)]


def _rank_section(comparison: Comparison) -> list[Section]:
    if comparison.ranks is None:
        return []
    groups, ranks = comparison.ranks
    chart = rank_chart(dict(zip(groups, ranks.mean, strict=True)), ranks.critical_difference)
    return [Section("Ranks", figures=[Figure(chart, RANKS.format(blocks=ranks.blocks, p=ranks.p))])]


def _gates(histories: Histories) -> list[Section]:
    figures = [
        Figure(gates_chart(searches), f"{group}, {condition}: a line for each seed and layer.")
        for (group, condition), searches in histories.items()
    ]
    return [Section("Gates during the search", figures=figures)] if figures else []


def _failures(comparison: Comparison) -> list[Section]:
    rows = [
        [record.group, record.condition, str(record.seed), record.failure or "no result"]
        for record in comparison.records
        if record.metrics is None
    ]
    return [Section("Failed runs", ["", "on", "seed", "reason"], rows)] if rows else []
