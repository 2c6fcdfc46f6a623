"""What steps come to on a GPU, from the result of `python -m benchmarks gpu`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.pages import markdown
from benchmarks.record import load

# what each part of the bench is called in a sentence
PARTS = {"sharing": "trials that share the card", "largest_batches": "the largest batch"}


def gpu() -> str:
    """Show a step of each method on the GPU that was at hand, shape by shape, and what was left out."""
    result = load("gpu")
    shapes: dict[str, list[Mapping[str, Any]]] = {}
    for record in result["records"]:
        shapes.setdefault(record["shape"], []).append(record)
    title = (
        f"Steps in bf16 autocast on an {result['machine']['gpu']}, random weights, B 64, T 128 and P 10 "
        f"({markdown.command(result['command'])}). Time is in units of one peft PromptTuning step; the share "
        "is of the operations a second that the card reaches in a product of bf16 matrices of 8,192 rows. "
        f"The tests on the GPU ended with: {result['tests']['closing_line']}."
    )
    if left_out := [PARTS.get(part, part) for part in result["left_out"]]:
        title += f" The time of the card ended before {' and '.join(left_out)} could be measured."
    return "\n".join(
        [title, *(line for name, records in shapes.items() for line in shape_table(name, records))]
    )


def shape_table(name: str, records: list[Mapping[str, Any]]) -> list[str]:
    """Return the table of a shape, the method that takes least first."""
    rows = [
        [
            f"`{record['name']}`",
            f"{1000 * record['seconds']:.1f}",
            f"{record['ratio_time']:.2f}",
            f"{record['tokens_per_second']:,.0f}",
            f"{100 * record['share_of_matmul_rate']:.0f}",
        ]
        for record in sorted(records, key=lambda record: record["seconds"])
    ]
    return markdown.table([name, "ms", "time", "tokens a second", "share of the matmul rate, %"], rows)
