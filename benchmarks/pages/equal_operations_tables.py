"""Tables of methods at equal operations: over the tasks of a setting, and each condition by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.by_seed import by_seed, difference
from benchmarks.equal_operations.bench import tera
from benchmarks.equal_operations.chart import chart_name
from benchmarks.equal_operations.summary import DEFAULT
from benchmarks.pages import markdown
from benchmarks.record import load, path_of

RESULT, OFFICIAL = "methods_deep", "methods_official"
# what the README has beside the defaults, after the reference
BESIDE = ("late_prompt", "deep_prompts", "setfit")
Entry = Mapping[str, Any]
# the defaults, and a method within the same budget
Pair = tuple[Entry, Entry]


def methods_deep() -> str:
    """Write what each method reaches within each budget."""
    result = load(RESULT)
    sweep_seeds = {str(line["seed"]) for line in result["sweep"]}
    title = (
        "Every method trains as many whole epochs as a budget of operations holds, its search and dev "
        "scores included, and keeps its best epoch on dev (budgets are in 10^12). Rates are chosen on dev, "
        f"for each budget, with seed {', '.join(sweep_seeds)}, which is not reported; `default` is this "
        "project with nothing set and nothing tried, and SetFit trains one epoch of its pairs, or what "
        "of it the budget holds. [methods.md](methods.md#at-equal-operations) says how, and "
        "`benchmarks/equal_operations/bench.yml` what each name is "
        f"({markdown.commands(result['measurements'])})."
    )
    over_tasks = _over_tasks(result["over_tasks"], result["reference"])
    return "\n\n".join([title, *over_tasks, *_pictures(RESULT, result["summary"]), *_conditions(result)])


def methods_official() -> str:
    """Write what methods reach within a budget on the test that TREC is published with."""
    result = load(OFFICIAL)
    title = (
        "The same bench with the files that TREC is published with: rows to train on and dev are drawn from "
        "its 5,452 questions of train, and test is its own 500, in place of rows of the first "
        f"({markdown.commands(result['measurements'])})."
    )
    return "\n\n".join([title, *_pictures(OFFICIAL, result["summary"]), *_conditions(result)])


def _conditions(result: Mapping[str, Any]) -> list[str]:
    """Write a table for each condition."""
    entries = result["summary"]
    return [
        _condition([entry for entry in entries if entry["condition"] == name], result["reference"])
        for name in dict.fromkeys(entry["condition"] for entry in entries)
    ]


def defaults_worth() -> str:
    """Show what the defaults reach beside what else one would train, at the largest budget of both."""
    result = load(RESULT)
    names = [result["reference"], *BESIDE]
    of_condition = _paired(result, names)
    if not of_condition:
        return ""
    title = (
        "The defaults, with nothing set or tried, beside methods at the rates that dev chose, within the "
        "same budget of operations: test accuracy in %, and how far the defaults are ahead on the same "
        "seeds, with the 95 % interval:"
    )
    head = ["on", "defaults", *(f"`{name}`" for name in names)]
    rows = [_compared(result, pairs, names) for pairs in of_condition]
    shares = [
        [
            f"the defaults' {what}, as a share of its",
            "",
            *(_shares(of_condition, name, key) for name in names),
        ]
        for what, key in (("parameters", "tunable_parameters"), ("operations", "train_flops"))
    ]
    return "\n".join([title, *markdown.table(head, [*rows, *shares])])


def _paired(result: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Pair]]:
    """Return (the defaults, the method) by method's name for each condition that has any, many rows first."""
    found = []
    for condition in dict.fromkeys(entry["condition"] for entry in result["summary"]):
        of = {
            (e["method"], e["budget_flops"]): e
            for e in result["summary"]
            if e["condition"] == condition and "test_accuracy" in e
        }
        budgets = {name: [b for n, b in of if n == name and (DEFAULT, b) in of] for name in names}
        pairs = {n: (of[DEFAULT, max(both)], of[n, max(both)]) for n, both in budgets.items() if both}
        if pairs:
            found.append(pairs)
    return sorted(found, key=lambda pairs: -(_any(pairs)["shots"] or math.inf))


def _any(pairs: Mapping[str, Pair]) -> Entry:
    """Return the defaults beside the first method, by which a condition is named."""
    return next(iter(pairs.values()))[0]


def _compared(result: Mapping[str, Any], pairs: Mapping[str, Pair], names: Sequence[str]) -> list[str]:
    """Write a condition's row; methods that were not measured there have an empty cell."""
    one = _any(pairs)
    cells = {}
    for name, (mine, other) in pairs.items():
        ahead = difference(*(_accuracies(result, entry) for entry in (mine, other)))
        assert ahead is not None
        cells[name] = f"{100 * other['test_accuracy']['mean']:.1f}: {markdown.interval(asdict(ahead))}"
    return [
        f"`{one['task']}`, {one['backbone']}, {_rows(one['shots'])}",
        markdown.percent(one["test_accuracy"]),
        *(cells.get(name, "") for name in names),
    ]


def _shares(of_condition: Sequence[Mapping[str, Pair]], name: str, key: str) -> str:
    """Write the range of the defaults' shares of what a method takes."""
    ratios = [mine[key] / other[key] for mine, other in (p[name] for p in of_condition if name in p)]
    return " to ".join(dict.fromkeys(map(_share, (min(ratios), max(ratios))))) if ratios else ""


def _accuracies(result: Mapping[str, Any], entry: Entry) -> dict[int, float]:
    """Return seed -> test accuracy of the runs that an entry sums up."""
    keys = ("condition", "method", "budget_flops")
    runs = (r for r in result["records"] if all(r[key] == entry[key] for key in keys))
    return by_seed(runs, "test_accuracy")


def _share(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.1g}"


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


def _pictures(name_of_result: str, entries: Sequence[Entry]) -> list[str]:
    settings = dict.fromkeys((entry["backbone"], entry["shots"]) for entry in entries)
    names = {f"{name_of_result}_{chart_name(*setting)}.svg": setting for setting in settings}
    return [
        f"![Test accuracy against operations, parameters and seconds on {backbone}, {_rows(shots)}]"
        f"(../benchmarks/results/{name})"
        for name, (backbone, shots) in names.items()
        if path_of(name_of_result).with_name(name).exists()
    ]


def _rows(shots: int | None) -> str:
    return f"{shots} rows a class" if shots else "2,000 rows"


def _costs(entry: Entry) -> list[str]:
    return [
        f"{entry['tunable_parameters']:,.0f}",
        f"{entry['train_flops'] / 1e12:.1f}",
        f"{entry['seconds']:.0f}",
    ]
