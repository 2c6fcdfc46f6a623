"""A comparison on disk: results.json, table.csv, runs.csv, and report.html with its drawings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from experiments.comparing.charts import layer_chart, rank_chart, trade_off_chart, value_chart
from experiments.comparing.columns import TEST_TITLES, Column, ComparisonTable, cells_of_test
from experiments.comparing.conclusion import best_row, conclusion
from experiments.comparing.groups import METRIC, SCORE, Comparison, PairedTest, Row, RunRecord
from spt.metrics import TITLES
from spt.process.provenance import Provenance
from spt.reports.charts import Interval, gate_chart, interval_chart
from spt.reports.drawing import Picture
from spt.reports.page import FIGURES, Cell, Content, Fact, Page, Section, Table, made_with, write_page
from spt.reports.wording import percent
from spt.storage.files import write_text

# group, condition -> the lines of each search's gates.jsonl
Histories = Mapping[tuple[str, str], Sequence[Sequence[Mapping[str, Any]]]]
KIND = "comparison of runs"
INTERVALS = (
    "Every interval on this page is the 95 % t interval of a mean over seeds; ± is the standard deviation."
)
# costs that scores are drawn against: key, title of the axis, unit
COSTS = (
    ("total_flops", "10¹² operations of search and training", 1e12),
    ("tunable_parameters", "tunable parameters", 1.0),
)
# searches of a group whose gates are drawn
MOST_SEARCHES = 5
# groups whose gates are drawn in the page; those of all are files
MOST_GATES = 6
# layers that a table of shades beside a picture has room for
MOST_NARROW = 12
MOST_FACTS = 4
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
    table = ComparisonTable(comparison, columns)
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
    write_page(folder / "report.html", comparison_page(title, table, provenance, histories or {}))


def comparison_page(title: str, table: ComparisonTable, provenance: Provenance, histories: Histories) -> Page:
    """Make the page of a comparison: the conclusion first, then what bears it out.

    Args:
        title: of the page.
        table: of a comparison with at least one run that gave results.
        provenance: of the results.
        histories: of gates, drawn where there are any.
    """
    comparison = table.comparison
    sections = [
        *(_condition(table, condition) for condition in comparison.conditions),
        *_tests(comparison),
        *_rank_section(comparison),
        *_gates(comparison, histories),
        _runs(comparison),
        *_failures(comparison),
        made_with(provenance.as_json()),
    ]
    subtitle = f"{len(comparison.groups)} groups, {len(comparison.records)} runs"
    return Page(KIND, title, subtitle, conclusion(comparison), _facts(comparison), sections)


def _ranks(comparison: Comparison) -> dict[str, Any] | None:
    if comparison.ranks is None:
        return None
    groups, ranks = comparison.ranks
    return {"groups": groups, **asdict(ranks)}


def _condition(table: ComparisonTable, condition: str) -> Section:
    """Make the table and the pictures of a condition."""
    comparison = table.comparison
    rows = [row for row in comparison.rows if row.condition == condition]
    cells = [[_sortable(cell, number) for cell, number in _cells(table, row)] for row in rows]
    tables = [Table(table.head(condition), cells, sortable=True, wide=True)]
    chosen = {row.group: row.shares for row in rows if row.layers}
    if chosen:
        tables.append(_layer_table(chosen))
    text = [INTERVALS] if condition == comparison.conditions[0] else []
    return Section(condition, text, pictures=_pictures(comparison, condition, rows, chosen), tables=tables)


def _cells(table: ComparisonTable, row: Row) -> list[tuple[str, float | None]]:
    """Return what a row says, and by which numbers its columns are sorted."""
    shown = [row.numbers.get(column.key) for column in table.shown]
    numbers: list[float | None] = [None, row.runs, *(None if each is None else each.mean for each in shown)]
    texts = table.cells(row)
    numbers += [row.stability, None][: len(texts) - len(numbers)]
    return list(zip(texts, numbers, strict=True))


def _sortable(text: str, number: float | None) -> Content:
    return text if number is None else Cell(text, number)


def _layer_table(shares: Mapping[str, Sequence[float]]) -> Table:
    """Show how often each layer was chosen, as shades."""
    layers = max(map(len, shares.values()))
    rows: list[list[Content]] = [
        [
            group,
            *(
                Cell(f"{100 * share:.0f}", share=share, look="shade", hover=f"{group}: layer {layer}")
                for layer, share in enumerate(of_group)
            ),
        ]
        for group, of_group in shares.items()
    ]
    caption = "The share of runs, in %, that chose each layer, from the input, 0, to the last one."
    return Table(["layer", *map(str, range(layers))], rows, caption, grid=True, wide=layers > MOST_NARROW)


def _pictures(
    comparison: Comparison, condition: str, rows: Sequence[Row], chosen: Mapping[str, Sequence[float]]
) -> list[Picture]:
    score = comparison.score.replace("_", " ").replace(METRIC, TITLES[comparison.metric_on(condition)])
    scored = {row.group: _interval(comparison, row) for row in rows if comparison.score in row.numbers}
    pictures = [_score_picture(comparison, condition, scored, score)] if scored else []
    pictures += [
        picture for cost in COSTS if (picture := _trade_off(condition, rows, scored, cost, score)) is not None
    ]
    if chosen and len({len(of_group) for of_group in chosen.values()}) == 1:
        caption = "The share of runs, in %, that chose each layer."
        pictures.append(
            Picture(_file(condition, "layers"), layer_chart(chosen), caption, caption, inline=False)
        )
    return pictures


def _score_picture(
    comparison: Comparison, condition: str, scored: Mapping[str, Interval], score: str
) -> Picture:
    name, varied = _file(condition, "scores"), comparison.varied_number
    means = "; ".join(f"{group} {percent(line.mean)}" for group, line in scored.items())
    if varied is None:
        caption = f"{_capitalised(score)}: each run as a small dot, the mean and its interval."
        return Picture(name, interval_chart(scored, score), caption, f"Mean {score}: {means}.")
    key, numbers = varied
    caption = f"{_capitalised(score)} against {key}: each run as a small dot, means and their intervals."
    by_number = {numbers[group]: interval for group, interval in scored.items()}
    return Picture(name, value_chart(by_number, key, score), caption, f"Mean {score} by {key}: {means}.")


def _trade_off(
    condition: str,
    rows: Sequence[Row],
    scored: Mapping[str, Interval],
    cost: tuple[str, str, float],
    score: str,
) -> Picture | None:
    """Draw scores against a cost, where the groups differ in it."""
    key, title, unit = cost
    points = {
        row.group: (row.numbers[key].mean / unit, scored[row.group])
        for row in rows
        if key in row.numbers and row.group in scored
    }
    if len({spent for spent, _ in points.values()}) < 2:
        return None
    caption = (
        f"{_capitalised(score)} against {title}. The groups in blue are the Pareto front: no other is at "
        "least as good and cheaper."
    )
    said = "; ".join(
        f"{group} {percent(line.mean)} at {spent:,.4g}" for group, (spent, line) in points.items()
    )
    return Picture(_file(condition, key), trade_off_chart(points, title, score), caption, f"{said}.")


def _file(condition: str, what: str) -> str:
    """Name the files of a picture by its condition."""
    return f"{re.sub(r'[^a-zA-Z0-9_-]+', '-', condition).strip('-')}-{what}"


def _capitalised(text: str) -> str:
    # str.capitalize would write F1 small
    return text[:1].upper() + text[1:]


def _interval(comparison: Comparison, row: Row) -> Interval:
    spread = row.numbers[comparison.score]
    return Interval(comparison.scores_of(row), spread.mean, spread.low, spread.high)


def _facts(comparison: Comparison) -> list[Fact]:
    """Return what the groups that dev would choose reach on the first conditions."""
    facts = []
    for condition in comparison.conditions[:MOST_FACTS]:
        row = best_row(comparison, condition)
        if row is not None:
            spread = row.numbers[comparison.score]
            facts.append(Fact(percent(spread.mean), f"best on dev, {condition}", row.group))
    return facts


def _tests(comparison: Comparison) -> list[Section]:
    if not comparison.tests:
        return []
    rows = [
        [_sortable(text, number) for text, number in zip(cells_of_test(test), _numbers_of(test), strict=True)]
        for test in comparison.tests
    ]
    text = TESTS.format(smallest=min(test.smallest for test in comparison.tests))
    table = Table(TEST_TITLES, rows, sortable=True)
    return [Section(f"Beside {comparison.reference}", [text], tables=[table])]


def _numbers_of(test: PairedTest) -> tuple[float | None, ...]:
    return None, test.pairs, test.difference, test.p, test.adjusted


def _rank_section(comparison: Comparison) -> list[Section]:
    if comparison.ranks is None:
        return []
    groups, ranks = comparison.ranks
    mean = dict(zip(groups, ranks.mean, strict=True))
    caption = RANKS.format(blocks=ranks.blocks, p=ranks.p)
    shown = "; ".join(f"{group} {rank:.2f}" for group, rank in sorted(mean.items(), key=lambda item: item[1]))
    chart = rank_chart(mean, ranks.critical_difference)
    return [Section("Ranks", pictures=[Picture("ranks", chart, caption, f"Mean ranks: {shown}.")])]


def _gates(comparison: Comparison, histories: Histories) -> list[Section]:
    rows = {(row.group, row.condition): row for row in comparison.rows}
    pictures: list[Picture] = []
    for (group, condition), searches in histories.items():
        row = rows.get((group, condition))
        common = [] if row is None else [layer for layer, share in enumerate(row.shares) if share >= 0.5]
        drawn, lines = searches[:MOST_SEARCHES], "a line for each search and layer"
        if len(searches) > len(drawn):
            lines += f", of the first {len(drawn)} of {len(searches)} searches"
        caption = f"{group}, {condition}: {lines}; layers that at least half of the runs chose are blue."
        chart = gate_chart(drawn, common)
        inline = len(pictures) < MOST_GATES
        pictures.append(Picture(_file(f"{group}-{condition}", "gates"), chart, caption, caption, inline))
    more = len(pictures) - MOST_GATES
    text = [f"Pictures of {more} further groups are in {FIGURES}/."] if more > 0 else []
    return [Section("Gates during the search", text, pictures=pictures)] if pictures else []


def _runs(comparison: Comparison) -> Section:
    """List every run by group and seed, with its score, which leads to its own report."""
    records = {(record.group, record.condition, record.seed): record for record in comparison.records}
    seeds = sorted({record.seed for record in comparison.records})
    rows: list[list[Content]] = [
        [
            row.group,
            row.condition,
            *(_run_cell(records.get((row.group, row.condition, seed))) for seed in seeds),
        ]
        for row in comparison.rows
    ]
    caption = "The score of each run on test, in %, by seed; it leads to the report of the run."
    head = ["", "on", *(f"seed {seed}" for seed in seeds)]
    return Section("Runs", tables=[Table(head, rows, caption, wide=True)], folded=True)


def _run_cell(record: RunRecord | None) -> Content:
    if record is None:
        return ""
    if record.metrics is None:
        return "failed"
    score = record.metrics[SCORE]
    link = None if record.folder is None else f"{quote(record.folder)}/report.html"
    return Cell(f"{100 * score:.1f}", score, href=link)


def _failures(comparison: Comparison) -> list[Section]:
    rows = [
        [record.group, record.condition, str(record.seed), record.failure or "no result"]
        for record in comparison.records
        if record.metrics is None
    ]
    table = Table(["", "on", "seed", "reason"], rows, wide=True)
    return [Section("Failed runs", tables=[table])] if rows else []
