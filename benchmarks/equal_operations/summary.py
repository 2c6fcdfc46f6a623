"""What the records of methods at equal operations say together: means, intervals, and differences by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from benchmarks.by_seed import by_seed, difference
from experiments.comparing.statistics import spread

Record = Mapping[str, Any]
DEFAULT = "default"
COSTS = ("tunable_parameters", "train_flops", "seconds")
# what is told of all records together
SUMMARIES = ("reference", "summary", "over_tasks")
SETTING = ("condition", "backbone", "task", "shots", "budget_flops")


def summary_of(records: Sequence[Record], reference: str) -> dict[str, Any]:
    """Summarise the records by condition, budget and method, and over the tasks of a setting.

    Args:
        records: of a bench.
        reference: the method with which others are compared.

    Returns:
        `reference`; `summary`, an entry a condition, budget and method; and `over_tasks`, an entry a
        backbone, number of shots, budget and method that has figures on all of the tasks there.
    """
    entries = list(_entries(records, reference))
    return {"reference": reference, "summary": entries, "over_tasks": list(_over_tasks(records, reference))}


def _entries(records: Sequence[Record], reference: str) -> Iterator[dict[str, Any]]:
    for condition, budget in dict.fromkeys((r["condition"], r["budget_flops"]) for r in records):
        group = [r for r in records if (r["condition"], r["budget_flops"]) == (condition, budget)]
        methods = _grouped(group, "method")
        places = _places(methods)
        for name, each in methods.items():
            yield {
                **{key: group[0][key] for key in SETTING},
                "method": name,
                **(_figures(each) if places.get(name) else _reason(each)),
                **_against(each, methods.get(reference, []), name != reference),
                **({"place": places[name], "of": len(places)} if name in places else {}),
            }


def _grouped(records: Sequence[Record], key: str) -> dict[str, list[Record]]:
    """Return the records by their value of a key, in the order of the first of each."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record[key], []).append(record)
    return groups


def _is_measured(records: Sequence[Record]) -> bool:
    """Say whether all seeds have figures: a mean over those that worked would be of easier ones."""
    return bool(records) and all("test_accuracy" in record for record in records)


def _places(methods: Mapping[str, Sequence[Record]]) -> dict[str, int]:
    """Rank the methods with figures by mean test accuracy, the best first."""
    means = {
        name: fmean(r["test_accuracy"] for r in each) for name, each in methods.items() if _is_measured(each)
    }
    return {name: place for place, name in enumerate(sorted(means, key=lambda name: -means[name]), 1)}


def _figures(records: Sequence[Record]) -> dict[str, Any]:
    return {
        "dev_accuracy": fmean(record["dev_accuracy"] for record in records),
        "test_accuracy": asdict(spread([record["test_accuracy"] for record in records])),
        **{cost: fmean(record[cost] for record in records) for cost in COSTS},
    }


def _reason(records: Sequence[Record]) -> dict[str, Any]:
    reasons = [r[key] for r in records for key in ("over_budget", "failure") if key in r]
    return {"reason": reasons[0]}


def _against(records: Sequence[Record], reference: Sequence[Record], other: bool) -> dict[str, Any]:
    """Compare test accuracies with those of the reference with the same seed."""
    if not other or not _is_measured(records) or not _is_measured(reference):
        return {}
    return _difference(by_seed(records, "test_accuracy"), by_seed(reference, "test_accuracy"))


def _difference(figures: Mapping[int, float], reference: Mapping[int, float]) -> dict[str, Any]:
    gain = difference(figures, reference)
    return {"difference": asdict(gain)} if gain else {}


def _over_tasks(records: Sequence[Record], reference: str) -> Iterator[dict[str, Any]]:
    settings = dict.fromkeys((r["backbone"], r["shots"], r["budget_flops"]) for r in records)
    for backbone, shots, budget in settings:
        group = [
            r for r in records if (r["backbone"], r["shots"], r["budget_flops"]) == (backbone, shots, budget)
        ]
        tasks = list(dict.fromkeys(record["task"] for record in group))
        methods = _grouped(group, "method")
        means = {
            method: _mean_over_tasks(each)
            for method, each in methods.items()
            if _is_measured(each) and {record["task"] for record in each} == set(tasks)
        }
        for method, mean in means.items():
            yield {
                "backbone": backbone,
                "shots": shots,
                "budget_flops": budget,
                "tasks": tasks,
                "method": method,
                **mean,
                **(_gain_over_tasks(methods, method, reference) if reference in means else {}),
            }


def _gain_over_tasks(methods: Mapping[str, Sequence[Record]], method: str, reference: str) -> dict[str, Any]:
    """Compare means over tasks with those of the reference with the same seed."""
    if method == reference:
        return {}
    return _difference(_tasks_by_seed(methods[method]), _tasks_by_seed(methods[reference]))


def _tasks_by_seed(records: Sequence[Record]) -> dict[int, float]:
    """Return seed -> mean test accuracy over the tasks, of seeds that all tasks have."""
    of_tasks = [by_seed(each, "test_accuracy") for each in _grouped(records, "task").values()]
    seeds = set[int].intersection(*map(set, of_tasks))
    return {seed: fmean(scores[seed] for scores in of_tasks) for seed in sorted(seeds)}


def _mean_over_tasks(records: Sequence[Record]) -> dict[str, float]:
    """Return means over tasks of the means over seeds."""
    by_task = _grouped(records, "task").values()
    return {
        key: fmean(fmean(record[key] for record in each) for each in by_task)
        for key in ("test_accuracy", *COSTS)
    }
