"""What each part of a training is worth, on dev: the tables of `python -m benchmarks recipe`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.by_seed import by_seed, difference
from benchmarks.pages import markdown
from benchmarks.record import load, made_of
from experiments.comparing.statistics import spread

Entry = Mapping[str, Any]
SPLITS = ("dev", "test")
# what a training is of, but for its seed
CELL = ("condition", "placement", "variant")


def recipe() -> str:
    """Show what changes of the default training are worth with 2,000 rows."""
    return _tables(
        "recipe", reference="token_offset", about="e5-small, 2,000 rows, five epochs of 32 rows a step"
    )


def few_rows() -> str:
    """Show what changes of the default training are worth with few rows."""
    return _tables("few_rows", reference="contrastive_25", about="MiniLM-L6, as many rows as 16 a class")


def placements() -> str:
    """Show the default training at the layers that the default search finds, and at lower ones."""
    result = load("placements")
    title = (
        f"The default training on e5-small with 2,000 rows of `trec` at other layers, five epochs "
        f"({markdown.commands(made_of(result))}), mean ± deviation of {_seeds(result)} seeds; differences to "
        f"the layers that the default search finds most often are by seed, {markdown.OVER_SEEDS}:"
    )
    return "\n".join([title, *_dev_and_test(result, result["summary"])])


def width() -> str:
    """Show the default training with generators as wide as by default, and narrower."""
    result = load("width")
    title = (
        "The default training on e5-small with 2,000 rows, five epochs, with generators as wide as by "
        f"default and narrower ({markdown.commands(made_of(result))}; `benchmarks/layers/width.yml` says "
        f"what each name is), mean ± deviation of {_seeds(result)} seeds; differences to the first line are "
        f"by seed, {markdown.OVER_SEEDS}:"
    )
    parts = [title]
    for condition in dict.fromkeys(entry["condition"] for entry in result["summary"]):
        entries = [entry for entry in result["summary"] if entry["condition"] == condition]
        parts.append("\n".join([f"`{condition}`:", *_dev_and_test(result, entries)]))
    return "\n\n".join(parts)


def _dev_and_test(result: Mapping[str, Any], entries: Sequence[Entry]) -> list[str]:
    """Write a table of dev and test, with differences on both to the first entry."""

    def scores(entry: Entry, split: str) -> dict[int, float]:
        same = (record for record in result["records"] if all(record[key] == entry[key] for key in CELL))
        return by_seed(same, f"{split}_metric")

    def gain(entry: Entry, split: str) -> str:
        ahead = difference(scores(entry, split), scores(entries[0], split))
        return markdown.interval(asdict(ahead)) if ahead and entry is not entries[0] else ""

    rows = [
        [
            markdown.layers(result["placements"][entry["placement"]]),
            f"`{entry['variant']}`",
            *(markdown.percent(asdict(spread(list(scores(entry, s).values())))) for s in SPLITS),
            *(gain(entry, split) for split in SPLITS),
            f"{entry['tunable_parameters']:,}",
            f"{entry['train_flops'] / 1e12:.1f}",
        ]
        for entry in entries
    ]
    to_first = [f"on {split}, to the first" for split in SPLITS]
    head = ["layers", "variant", "dev %", "test %", *to_first, "parameters", "10^12 FLOPs"]
    return markdown.table(head, rows)


def _seeds(result: Mapping[str, Any]) -> int:
    return len({record["seed"] for record in result["records"]})


def _tables(name: str, reference: str, about: str) -> str:
    """Write a table a condition and placement, with differences to the reference by seed."""
    result = load(name)
    title = (
        f"Trainings at given layers of {about} ({markdown.commands(made_of(result))}; "
        f"`benchmarks/layers/{name}.yml` says what each name is), mean ± deviation of {_seeds(result)} "
        f"seeds. `{reference}` is the default; differences to it are by seed, {markdown.OVER_SEEDS}:"
    )
    groups = dict.fromkeys((entry["condition"], entry["placement"]) for entry in result["summary"])
    return "\n\n".join([title, *(_table(result, reference, *group) for group in groups)])


def _table(result: Mapping[str, Any], reference: str, condition: str, placement: str) -> str:
    def of(entries: Sequence[Entry]) -> list[Entry]:
        return [e for e in entries if (e["condition"], e["placement"]) == (condition, placement)]

    records = of(result["records"])
    scores = by_seed((r for r in records if r["variant"] == reference), "dev_metric")
    rows = [
        [
            f"`{entry['variant']}`",
            markdown.percent(entry["dev_metric"]),
            "" if entry["variant"] == reference else _difference(entry["variant"], records, scores),
            f"{entry['tunable_parameters']:,}",
            f"{entry['train_flops'] / 1e12:.1f}",
        ]
        for entry in sorted(of(result["summary"]), key=lambda entry: -entry["dev_metric"]["mean"])
    ]
    layers = markdown.layers(result["placements"][placement])
    head = ["variant", "dev %", f"to `{reference}`", "parameters", "10^12 FLOPs"]
    return "\n".join([f"`{condition}`, layers {layers}:", *markdown.table(head, rows)])


def _difference(variant: str, records: Sequence[Entry], reference: Mapping[int, float]) -> str:
    """Write the mean difference to the reference by seed, where both have figures."""
    gain = difference(by_seed((r for r in records if r["variant"] == variant), "dev_metric"), reference)
    return markdown.interval(asdict(gain)) if gain else ""
