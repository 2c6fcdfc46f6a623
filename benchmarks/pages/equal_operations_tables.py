"""Tables of methods at equal operations: over the tasks of a setting, and each condition by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.equal_operations.bench import tera
from benchmarks.equal_operations.chart import chart_name
from benchmarks.equal_operations.summary import DEFAULT
from benchmarks.pages import markdown
from benchmarks.record import load, path_of

RESULT = "methods_deep"
Entry = Mapping[str, Any]


def methods_deep() -> str:
    """Write what each method reaches within each budget."""
    result = load(RESULT)
    commands = dict.fromkeys(markdown.command(made["command"]) for made in result["measurements"])
    sweep_seeds = {str(line["seed"]) for line in result["sweep"]}
    title = (
        "Every method trains as many whole epochs as a budget of operations holds, its search and dev "
        "scores included, and keeps its best epoch on dev (budgets are in 10^12). Rates are chosen on dev, "
        f"for each budget, with seed {', '.join(sweep_seeds)}, which is not reported; `default` is this "
        "project with nothing set and nothing tried, and SetFit trains one epoch of its pairs, or what "
        "of it the budget holds. [methods.md](methods.md#at-equal-operations) says how, and "
        f"`benchmarks/equal_operations/bench.yml` what each name is ({'; '.join(commands)})."
    )
    entries = result["summary"]
    over_tasks = _over_tasks(result["over_tasks"], result["reference"])
    conditions = dict.fromkeys(entry["condition"] for entry in entries)
    parts = [
        _condition([entry for entry in entries if entry["condition"] == name], result["reference"])
        for name in conditions
    ]
    return "\n\n".join([title, *over_tasks, *_pictures(entries), *parts])


def defaults_worth() -> str:
    """Say what the defaults reach beside the reference on each condition, at the largest budget of both."""
    result = load(RESULT)
    lines = []
    for condition in dict.fromkeys(entry["condition"] for entry in result["summary"]):
        of = {
            (e["method"], e["budget_flops"]): e
            for e in result["summary"]
            if e["condition"] == condition and "test_accuracy" in e
        }
        budgets = [b for m, b in of if m == DEFAULT and (result["reference"], b) in of]
        if budgets:
            mine, other = (of[name, max(budgets)] for name in (DEFAULT, result["reference"]))
            lines.append(_beside(mine, other))
    if not lines:
        return ""
    return (
        f"The defaults, with nothing set or tried, beside `{result['reference']}` at the learning rate that "
        "dev chose, within the same operations (test accuracy; differences of the same seed, with their 95 % "
        f"interval): {'; '.join(lines)}."
    )


def _beside(mine: Entry, other: Entry) -> str:
    ratios = {
        name: mine[key] / other[key]
        for name, key in (("parameters", "tunable_parameters"), ("operations", "train_flops"))
    }
    told = " and ".join(f"{ratio:.2f} of its {name}" for name, ratio in ratios.items())
    return (
        f"`{mine['task']}` on `{mine['backbone']}`, {_rows(mine['shots'])}, "
        f"{100 * mine['test_accuracy']['mean']:.1f} % and {100 * other['test_accuracy']['mean']:.1f} %, "
        f"{markdown.interval(mine['difference'])}, for {told}"
    )


def _over_tasks(entries: Sequence[Entry], reference: str) -> list[str]:
    """Write a table of means over tasks for each setting with several."""
    tables = []
    for setting in dict.fromkeys((e["backbone"], e["shots"], tuple(e["tasks"])) for e in entries):
        backbone, shots, tasks = setting
        group = [e for e in entries if (e["backbone"], e["shots"], tuple(e["tasks"])) == setting]
        if len(tasks) < 2:
            continue
        rows = [
            [
                f"`{entry['method']}`",
                tera(entry["budget_flops"]),
                f"{100 * entry['test_accuracy']:.1f}",
                f"{100 * entry['difference']:+.1f}" if "difference" in entry else "",
                *_costs(entry),
            ]
            for entry in sorted(group, key=lambda entry: (entry["budget_flops"], -entry["test_accuracy"]))
        ]
        named = ", ".join(f"`{task}`" for task in tasks)
        title = f"Means over {named} on `{backbone}`, {_rows(shots)}:"
        head = ["method", "budget", "test %", f"to `{reference}`", "parameters", "10^12 FLOPs", "seconds"]
        tables.append("\n".join([title, *markdown.table(head, rows)]))
    return tables


def _condition(entries: Sequence[Entry], reference: str) -> str:
    """Write a row a method and budget, the best first."""
    first = entries[0]
    measured = [entry for entry in entries if "test_accuracy" in entry]
    seeds = max((entry["test_accuracy"]["n"] for entry in measured), default=0)
    title = (
        f"`{first['task']}` on `{first['backbone']}`, {_rows(first['shots'])}, {seeds} seeds; differences to "
        f"`{reference}` are of the same seed, with their 95 % interval:"
    )
    rows = [
        [
            tera(entry["budget_flops"]),
            f"`{entry['method']}`",
            f"{100 * entry['dev_accuracy']:.1f}",
            markdown.percent(entry["test_accuracy"]),
            markdown.interval(entry["difference"]) if "difference" in entry else "",
            *_costs(entry),
        ]
        for entry in sorted(measured, key=lambda entry: (entry["budget_flops"], entry["place"]))
    ]
    head = [
        "budget",
        "method",
        "dev %",
        "test %",
        f"to `{reference}`",
        "parameters",
        "10^12 FLOPs",
        "seconds",
    ]
    return "\n".join([title, *markdown.table(head, rows), *_without_figures(entries)])


def _without_figures(entries: Sequence[Entry]) -> list[str]:
    """Say which method has no figures within which budget, and why."""
    without = [
        f"`{entry['method']}` within {tera(entry['budget_flops'])}: {entry['reason']}"
        for entry in entries
        if "reason" in entry
    ]
    return ["", f"Without figures: {' '.join(without)}"] if without else []


def _pictures(entries: Sequence[Entry]) -> list[str]:
    settings = dict.fromkeys((entry["backbone"], entry["shots"]) for entry in entries)
    names = {f"{RESULT}_{chart_name(*setting)}.svg": setting for setting in settings}
    return [
        f"![Test accuracy against operations, parameters and seconds on {backbone}, {_rows(shots)}]"
        f"(../benchmarks/results/{name})"
        for name, (backbone, shots) in names.items()
        if path_of(RESULT).with_name(name).exists()
    ]


def _rows(shots: int | None) -> str:
    return f"{shots} rows a class" if shots else "2,000 rows"


def _costs(entry: Entry) -> list[str]:
    return [
        f"{entry['tunable_parameters']:,.0f}",
        f"{entry['train_flops'] / 1e12:.1f}",
        f"{entry['seconds']:.0f}",
    ]
