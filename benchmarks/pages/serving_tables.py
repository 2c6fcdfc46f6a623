"""What many tasks on one backbone take to answer, from the result of `python -m benchmarks serving`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.pages import markdown
from benchmarks.record import load

Record = Mapping[str, Any]
WORKLOADS = {"one_text": "one text", "stream": "a stream of texts"}
PLOT = "Answers a second of each system over the number of tasks"
# of which all figures are shown
DETAILED = 16
# what else answers many tasks, whose rates are told in a line
BESIDE = {
    "peft_lora_switched": "peft's LoRA with switched adapters",
    "peft_lora_mixed": "peft's LoRA in mixed batches",
    "adapters_parallel_late": "parallel adapters in the upper layers alone",
}


def serving() -> str:
    """Show the time of each system beside separate passes, and all figures of one number of tasks."""
    result = load("serving")
    setup, records = result["setup"], result["records"]
    title = (
        f"Answers of N tasks on {setup['backbone']}, prompts of {setup['prompt_length']} vectors that begin "
        f"at layer {setup['first_layer']}, random weights (what is timed does not depend on them), "
        f"{result['machine']['threads']} thread, TREC questions of {result['words_a_text']:.0f} words in the "
        f"mean, one at a time and in batches of {result['batch']} ({markdown.command(result['command'])}). "
        f"All systems answered in turn, {min(record['calls'] for record in records)} times at least, on a "
        "machine with other work; times are medians in units of `separate_passes`, the same prompts "
        "asked one task after another. Its probabilities and fan-out's differ by at most "
        f"{max(result['largest_difference'].values()):.1g}. `fan_out_known` is fan-out over texts in the "
        "cache; `adapters_parallel_late` has adapters only in the layers where our prompts are."
    )
    tables = [line for workload in WORKLOADS for line in time_table(workload, records)]
    plot = f"![{PLOT}](../benchmarks/results/serving.svg)"
    return "\n".join([title, "", sharing_worth(), *tables, *detail_table(records), "", plot])


def sharing_worth() -> str:
    """Say in a line how fan-out stands to separate passes and to adapters; empty if not measured."""
    result = load("serving")
    of = {r["system"]: r for r in result["records"] if r["workload"] == "one_text" and r["tasks"] == DETAILED}
    if not of:
        return ""
    fan_out, separate = of["fan_out"], of["separate_passes"]
    rates = ", ".join(
        f"{fan_out['tasks_texts_per_second'] / of[name]['tasks_texts_per_second']:.1f} times those of {title}"
        for name, title in BESIDE.items()
        if name in of
    )
    return (
        f"What one pass for many tasks is worth: {DETAILED} tasks on one text take "
        f"{fan_out['ratio_time']:.2f} of the time of {DETAILED} passes one after another, and "
        f"{_operations(fan_out) / _operations(separate):.2f} of their operations: they share the layers "
        f"below the prompts, which begin at layer {result['setup']['first_layer']} of "
        f"{result['setup']['backbone']}, and are one batch above. Its answers a second are {rates}."
    )


def _operations(record: Record) -> float:
    return float(record["flops"] / record["texts"])


def time_table(workload: str, records: Sequence[Record]) -> list[str]:
    """Return the table of one workload's times, a column a number of tasks."""
    own = [record for record in records if record["workload"] == workload]
    numbers = sorted({record["tasks"] for record in own})
    rows = []
    for name in dict.fromkeys(record["system"] for record in own):
        times = {record["tasks"]: record["ratio_time"] for record in own if record["system"] == name}
        rows.append([f"`{name}`", *(f"{times[n]:.2f}" if n in times else "" for n in numbers)])
    return markdown.table([f"time, {WORKLOADS[workload]}", *(f"N = {n}" for n in numbers)], rows)


def detail_table(records: Sequence[Record]) -> list[str]:
    """Return the table of all figures of one number of tasks."""
    own = [record for record in records if record["tasks"] == DETAILED]
    if not own:
        return []
    rows = [
        [
            f"`{record['system']}`",
            WORKLOADS[record["workload"]],
            f"{record['tasks_texts_per_second']:.0f}",
            f"{record['p50_ms']:.0f}",
            f"{record['p99_ms']:.0f}",
            f"{_operations(record) / 1e9:.2f}",
            f"{record['peak_mb']:,.0f}",
        ]
        for record in own
    ]
    head = [
        f"{DETAILED} tasks",
        "asked",
        "answers a second",
        "p50, ms",
        "p99, ms",
        "GFLOPs a text",
        "peak, MB",
    ]
    return markdown.table(head, rows)
