"""The demo over its seeds: a sentence for the README, and a table for the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.pages import markdown
from benchmarks.record import load

NAMES = {"best_trial": "best trial", "input_prompt": "input prompt", "head": "head alone"}


def demo() -> str:
    """Show each seed's best trial beside the baselines, with intervals over rows and operations."""
    result = load("demo")
    records, chosen = result["records"], result["input_prompt"]
    rates = ", ".join(f"{100 * dev:.1f} at {rate}" for rate, dev in chosen["dev_metric_by_rate"].items())
    title = (
        f"`make demo` over seeds ({markdown.command(result['command'])}): of {records[0]['trials']} trials, "
        f"each a search and a training, the best on dev. {demo_sentence()} The input prompt trains "
        f"{chosen['epochs']} epochs at a rate of {chosen['rate']:g}; with seed {chosen['seed_of_rates']} it "
        f"had dev % {rates}. All trials of a seed together took "
        f"{_range([record['trials_flops'] / 1e12 for record in records])} x 10^12 operations."
    )
    rows = [[str(record["seed"]), NAMES[name], *_cells(record[name])] for record in records for name in NAMES]
    head = ["seed", "run", "layers", "test %", "95 % interval over rows", "dev %", "10^12 FLOPs"]
    return "\n".join([title, *markdown.table([*head, "parameters"], rows)])


def demo_sentence() -> str:
    """Say how far ahead of the input prompt the demo's best trials are, and at what share of its cost."""
    records = load("demo")["records"]
    points = _range([100 * record["difference"] for record in records], "+")
    shares = _range([record["share_of_operations"] for record in records], decimals=2)
    all_of = _range([r["trials_flops"] / r["input_prompt"]["total_flops"] for r in records])
    return (
        f"Over {len(records)} seeds its best trial was {points} points ahead of a prompt at the input on "
        f"{records[0]['best_trial']['test_size']:,} test rows, and its search and training together took "
        f"{shares} of the operations of that prompt's training; all {records[0]['trials']} trials took "
        f"{all_of} times these."
    )


def _range(values: Sequence[float], sign: str = "", decimals: int = 1) -> str:
    low, high = (f"{value:{sign}.{decimals}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _cells(run: dict[str, Any]) -> list[str]:
    low, high = run["test_interval"]
    return [
        markdown.layers(run["layers"]),
        f"{100 * run['test_metric']:.1f}",
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{100 * run['dev_metric']:.1f}",
        f"{run['total_flops'] / 1e12:.1f}",
        f"{run['tunable_parameters']:,}",
    ]
