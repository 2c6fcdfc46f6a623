"""Tables of methods at equal operations: over the tasks of a setting, and each condition by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
BESIDE = ("ia3", "bitfit", "linear_probe", "late_prompt", "deep_prompts", "setfit")
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
        "of it the budget holds. Test rows are the same with every seed, so that intervals over seeds leave "
        "out what other rows would change; seconds compare only within a `measurement`, which each run in "
        "the JSON has. [methods.md](methods.md#at-equal-operations) says how, and "
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
        _condition(result, [entry for entry in entries if entry["condition"] == name])
        for name in dict.fromkeys(entry["condition"] for entry in entries)
    ]


def defaults_worth() -> str:
    """Show what the defaults reach beside what else one would train within the same budget."""
    result = load(RESULT)
    names = [result["reference"], *BESIDE]
    of_condition = _paired(result, names)
    if not of_condition:
        return ""
    title = (
        "The defaults, with nothing set or tried, beside methods at the rates that dev chose (SetFit and the "
        "probe have none), each within the same budget of operations, in 10^12: test accuracy in % ± its "
        f"deviation over seeds ({_seeds(of_condition)}), and how far the defaults are ahead by seed, "
        f"{markdown.OVER_SEEDS}. Rows and recipe are not those of the table above:"
    )
    head = ["on", "within", "defaults", *(f"`{name}`" for name in names)]
    rows = [_compared(result, pairs, names) for pairs in of_condition]
    shares = [
        [
            f"the defaults' {what}, as a share of its",
            "",
            "",
            *(_shares(of_condition, name, key) for name in names),
        ]
        for what, key in (("parameters", "tunable_parameters"), ("operations", "train_flops"))
    ]
    return "\n".join([title, *markdown.table(head, [*rows, *shares])])


def _paired(result: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Pair]]:
    """Return (the defaults, the method) by name for each condition and budget with any, many rows first."""
    groups: dict[tuple[str, float], dict[str, Entry]] = {}
    for entry in result["summary"]:
        if "test_accuracy" in entry:
            groups.setdefault((entry["condition"], entry["budget_flops"]), {})[entry["method"]] = entry
    found = [
        {name: (of[DEFAULT], of[name]) for name in names if name in of}
        for of in groups.values()
        if DEFAULT in of
    ]
    return sorted(filter(None, found), key=lambda pairs: -(_any(pairs)["shots"] or math.inf))


def _any(pairs: Mapping[str, Pair]) -> Entry:
    """Return the defaults, by whose condition a row is named."""
    return next(iter(pairs.values()))[0]


def _seeds(of_condition: Sequence[Mapping[str, Pair]]) -> str:
    """Say how many seeds there are with few rows and with many."""
    numbers: dict[str, set[int]] = {}
    for pairs in of_condition:
        rows = "few rows" if _any(pairs)["shots"] else "2,000 rows"
        seeds = {entry["test_accuracy"]["n"] for pair in pairs.values() for entry in pair}
        numbers.setdefault(rows, set()).update(seeds)
    return ", ".join(f"{' or '.join(map(str, sorted(n)))} with {rows}" for rows, n in numbers.items())


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
        tera(one["budget_flops"]),
        markdown.percent(one["test_accuracy"]),
        *(cells.get(name, "") for name in names),
    ]


def _shares(of_condition: Sequence[Mapping[str, Pair]], name: str, key: str) -> str:
    """Write the range of the defaults' shares of what a method takes."""
    ratios = [mine[key] / other[key] for mine, other in (p[name] for p in of_condition if name in p)]
    return " to ".join(dict.fromkeys(map(_share, (min(ratios), max(ratios))))) if ratios else ""


def _accuracies(result: Mapping[str, Any], entry: Entry) -> dict[int, float]:
    """Return seed -> test accuracy of the runs that an entry sums up."""
    return by_seed(_runs(result, entry), "test_accuracy")


def _rate(result: Mapping[str, Any], entry: Entry) -> str:
    """Write the rate that dev chose for a method; nothing for one that has none."""
    rates = dict.fromkeys(run["learning_rate"] for run in _runs(result, entry) if "learning_rate" in run)
    return ", ".join(f"{rate:g}" for rate in rates)


def _runs(result: Mapping[str, Any], entry: Entry) -> Iterator[Entry]:
    """Yield the runs that an entry sums up."""
    keys = ("condition", "method", "budget_flops")
    return (run for run in result["records"] if all(run[key] == entry[key] for key in keys))


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
                markdown.interval(entry["difference"]) if "difference" in entry else "",
                *_costs(entry),
            ]
            for entry in sorted(group, key=lambda entry: (entry["budget_flops"], -entry["test_accuracy"]))
        ]
        named = ", ".join(f"`{task}`" for task in tasks)
        title = (
            f"Means over {named} on `{backbone}`, {_rows(shots)}; differences to `{reference}` are of the "
            f"means by seed, {markdown.OVER_SEEDS}:"
        )
        head = ["method", "budget", "test %", f"to `{reference}`", "parameters", "10^12 FLOPs", "seconds"]
        tables.append("\n".join([title, *markdown.table(head, rows)]))
    return tables


def _condition(result: Mapping[str, Any], entries: Sequence[Entry]) -> str:
    """Write a row a method and budget, the best first."""
    first, reference = entries[0], result["reference"]
    measured = [entry for entry in entries if "test_accuracy" in entry]
    seeds = max((entry["test_accuracy"]["n"] for entry in measured), default=0)
    title = (
        f"`{first['task']}` on `{first['backbone']}`, {_rows(first['shots'])}, {seeds} seeds (± is their "
        f"deviation); differences to `{reference}` are by seed, {markdown.OVER_SEEDS}:"
    )
    rows = [
        [
            tera(entry["budget_flops"]),
            f"`{entry['method']}`",
            _rate(result, entry),
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
        "rate",
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
