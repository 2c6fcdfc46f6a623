"""What bf16 changes on a CPU: a step's time, and the accuracy of the defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.by_seed import by_seed, difference
from benchmarks.equal_operations.bench import tera
from benchmarks.equal_operations.summary import DEFAULT
from benchmarks.pages import markdown
from benchmarks.record import load, path_of

IN_32_BITS, IN_BF16 = "methods_deep", "methods_bf16"


def precision() -> str:
    """Show the time of a step in bf16 beside 32 bits, and what the defaults reach in each."""
    result = load("precision")
    threads = result["machine"]["threads"]
    title = (
        f"Steps on {threads} CPU thread{'s' * (threads > 1)} in bf16 (`training.precision=bf16`), as "
        f"multiples of the speed in 32 bits, timed in turn ({markdown.command(result['command'])}). "
        "Attention is computed in 32 bits in both, for PyTorch's kernel is slow backwards in bf16: the last "
        "column has it in bf16 too."
    )
    return "\n\n".join(["\n".join([title, *markdown.table(*_steps(result))]), *_accuracies()])


def _steps(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table of steps."""
    speedups: dict[tuple[str, str], dict[str, float]] = {}
    for record in result["records"]:
        of = speedups.setdefault((record["shape"], record["name"]), {})
        of[record["precision"]] = record["speedup"]
    columns = list(dict.fromkeys(record["precision"] for record in result["records"]))[1:]
    rows = [
        [
            _shape(shape, result["shapes"][shape]),
            f"`{name}`",
            *(f"{of[column]:.1f}" if column in of else "" for column in columns),
        ]
        for (shape, name), of in speedups.items()
    ]
    return ["shape", "step", *columns], rows


def _shape(name: str, shape: Mapping[str, int]) -> str:
    return f"{name}, B {shape['batch']}, T {shape['tokens']}"


def _accuracies() -> Iterator[str]:
    """Yield the table of what the defaults reach in both precisions, where that has been measured."""
    if not path_of(IN_BF16).exists():
        return
    bf16 = load(IN_BF16)
    title = (
        "The defaults in both precisions, the same rows and seeds, differences by seed, "
        f"{markdown.OVER_SEEDS} ({markdown.commands(bf16['measurements'])}):"
    )
    rows = [_compared(entry, load(IN_32_BITS), bf16) for entry in bf16["summary"]]
    head = ["on", "within", "32 bits, dev %", "bf16, dev %", "32 bits, test %", "bf16, test %"]
    yield "\n".join([title, *markdown.table([*head, "bf16 to 32 bits on test"], rows)])


def _compared(entry: Mapping[str, Any], wide: Mapping[str, Any], bf16: Mapping[str, Any]) -> list[str]:
    """Write a condition's row."""
    keys = {key: entry[key] for key in ("condition", "budget_flops")} | {"method": DEFAULT}
    (other,) = (each for each in wide["summary"] if keys.items() <= each.items())
    changed = difference(*(_by_seed(result, keys) for result in (bf16, wide)))
    assert changed is not None
    return [
        f"`{entry['task']}`, {entry['backbone']}",
        tera(entry["budget_flops"]),
        *(f"{100 * each['dev_accuracy']:.1f}" for each in (other, entry)),
        *(markdown.percent(each["test_accuracy"]) for each in (other, entry)),
        markdown.interval(asdict(changed)),
    ]


def _by_seed(result: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[int, float]:
    return by_seed([run for run in result["records"] if keys.items() <= run.items()], "test_accuracy")
