"""Tables of methods side by side: all that was measured of each, and test accuracies alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from benchmarks.methods.results import COLUMNS, Line, read_lines, record_of
from benchmarks.pages import markdown
from experiments.comparing.columns import ComparisonTable, whole_number
from experiments.comparing.groups import SCORE, Comparison

RESULT = "methods"
# of the README: a search, and what one would use in its place
ALTERNATIVES = ("head", "prompt_tuning", "deep_prompts", "spt", "spt_first", "lora", "full")
# whose runs of these methods are of one measurement, so that their seconds compare
COSTS_ON = "sst2"


def methods() -> str:
    """Write a table for each condition."""
    lines = read_lines(RESULT)
    commands = markdown.commands(line["made"] for line in lines["records"])
    title = (
        "Methods side by side on MiniLM-L6, each at the learning rate that dev chose with seed "
        f"{lines['sweep'][0]['seed']}, which is reported too (`experiments/methods.yml`). Seconds and FLOPs "
        "are of search and training together; seconds compare only within a `measurement`, which each run in "
        f"the JSON has. The rank is the mean over seeds ({commands})."
    )
    conditions: dict[str, list[Line]] = {}
    for line in lines["records"]:
        conditions.setdefault(line["condition"], []).append(line)
    return "\n\n".join([title, summary(), *(_condition(*named) for named in conditions.items())])


def _condition(name: str, lines: Sequence[Line]) -> str:
    # layers are told below the table, for those that chose them
    records = [record_of({key: line[key] for key in line if key != "layers"}) for line in lines]
    compared = Comparison(records, [column.key for column in COLUMNS])
    table, title, mean = ComparisonTable(compared, COLUMNS), f"On `{name}`:", {}
    if compared.ranks is not None:
        groups, ranks = compared.ranks
        mean = dict(zip(groups, ranks.mean, strict=True))
        title = (
            f"On `{name}`, where mean ranks that are {ranks.critical_difference:.1f} apart differ at 5 % "
            f"(Nemenyi; Friedman's test of all being alike: p = {ranks.p:.2g}):"
        )
    rows = []
    for row in compared.rows:
        method, *cells = table.cells(row)
        rows.append([f"`{method}`", f"{mean[method]:.1f}" if method in mean else "", *cells])
    first, *head = table.head(lines[0]["condition"])
    return "\n".join([title, *markdown.table([first, "rank", *head], rows), *_searched(lines)])


def _searched(lines: Sequence[Line]) -> list[str]:
    """List the layers of the methods whose layers are not the same with every seed."""
    layers: dict[str, list[str]] = {}
    for line in lines:
        layers.setdefault(line["method"], []).append(markdown.layers(line.get("layers", ())))
    varied = [f"`{method}`: {', '.join(sets)}" for method, sets in layers.items() if len(set(sets)) > 1]
    return ["", f"Layers by seed: {'; '.join(varied)}."] if varied else []


def summary() -> str:
    """Write test accuracies of every method on every condition into one table."""
    compared = _compared(["tunable_parameters"])
    on = compared.conditions[0]
    title = f"{_how(compared)} Parameters are those on `{on}`, the head's among them:"
    return "\n".join(
        [title, *_accuracies(compared, compared.groups, on, {"parameters": "tunable_parameters"})]
    )


def short_summary() -> str:
    """Write test accuracies of a search and of what one would use in its place, with what they cost."""
    compared = _compared(["tunable_parameters", "total_seconds"])
    methods = [group for group in compared.groups if group in ALTERNATIVES]
    title = (
        f"{_how(compared)} Parameters, the head's among them, and seconds of search and training together on "
        f"one CPU thread are those on `{COSTS_ON}`:"
    )
    costs = {"parameters": "tunable_parameters", "seconds": "total_seconds"}
    return "\n".join([title, *_accuracies(compared, methods, COSTS_ON, costs)])


def _compared(numbers: list[str]) -> Comparison:
    return Comparison([record_of(line) for line in read_lines(RESULT)["records"]], numbers)


def _how(compared: Comparison) -> str:
    seeds = max(row.runs for row in compared.rows)
    return (
        f"Test accuracy in % on MiniLM-L6, mean ± deviation of {seeds} seeds on the same test rows, each "
        "method at the learning rate that dev chose for it (`experiments/methods.yml`; `sst2` has 2,000 rows "
        "to train on, `trec` all, `-16` 16 a class)."
    )


def _accuracies(
    compared: Comparison, methods: Sequence[str], costs_on: str, costs: Mapping[str, str]
) -> list[str]:
    """Write a line a method: what it cost on one condition, title -> key, and its accuracy on each."""
    rows = {(row.group, row.condition): row.numbers for row in compared.rows}
    cells = []
    for method in methods:
        numbers = [rows.get((method, condition), {}) for condition in compared.conditions]
        spent = [rows.get((method, costs_on), {}).get(key) for key in costs.values()]
        scores = [markdown.percent(asdict(n[SCORE])) if SCORE in n else "" for n in numbers]
        cells.append([f"`{method}`", *(whole_number(cost) if cost else "" for cost in spent), *scores])
    head = ["method", *costs, *(f"`{condition}`" for condition in compared.conditions)]
    return markdown.table(head, cells)
