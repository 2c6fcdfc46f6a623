"""The README's table of time and memory, from the results of five benches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.cost.precision import OURS
from benchmarks.methods.results import read_lines, record_of
from benchmarks.pages import markdown
from benchmarks.pages.method_tables import COSTS_ON, RESULT
from benchmarks.record import load
from experiments.comparing.groups import Comparison

THREAD = "one CPU thread"


def costs() -> str:
    """Write what a run, rows and steps take, each with what it was measured on."""
    rows = [_run(), *_rows_of_text(), *_steps(), _bf16(), *_gpu()]
    return "\n".join(markdown.table(["what", "time", "peak memory", "on"], rows)[1:])


def _run() -> list[str]:
    """Say what `spt` of the methods takes where its seconds are of one measurement."""
    lines = [
        line
        for line in read_lines(RESULT)["records"]
        if (line["method"], line["condition"]) == ("spt", COSTS_ON)
    ]
    (row,) = Comparison([record_of(line) for line in lines], ["total_seconds", "peak_bytes"]).rows
    seconds, memory = row.numbers["total_seconds"].mean, row.numbers["peak_bytes"].mean
    what = f"SPT-DARTS and training, `spt` on `{COSTS_ON}` above"
    return [what, f"{seconds:.0f} s", _gigabytes(memory), THREAD]


def _rows_of_text() -> list[list[str]]:
    """Say what reading rows and answering lines take."""
    result = load("load")
    records = result["records"]
    (read,) = (record for record in records if record["name"] == "load_and_encode")
    answered = [record for record in records if record["name"] == "predict"]
    lines = [record["lines"] for record in answered]
    rates = [record["lines_per_second"] for record in answered]
    memory = max(record["peak_megabytes"] for record in answered)
    return [
        [
            f"reading and encoding {read['rows']:,} rows",
            f"{read['seconds']:.0f} s",
            _gigabytes(2**20 * read["peak_megabytes"]),
            THREAD,
        ],
        [
            f"`predict` on {min(lines):,} to {max(lines):,} lines, {result['backbone']}",
            f"{min(rates):.0f} to {max(rates):.0f} lines a second",
            _gigabytes(2**20 * memory),
            THREAD,
        ],
    ]


def _steps() -> list[list[str]]:
    """Say what a step of training and one of a search take beside one of Prompt Tuning."""
    result = load("speed")
    shape = result["shape"]
    of = {record["name"]: record for record in result["records"] if record["threads"] == 1}
    prompts, lora, search = of["spt_4_7_9_11"], of["peft_lora"], of["search_step"]
    return [
        [
            f"a step of BERT-base on {shape['batch']} rows of {shape['tokens']} tokens, prompts at 4 layers",
            f"{prompts['ratio_time']:.2f} (LoRA {lora['ratio_time']:.2f}) of a step of Prompt Tuning",
            f"{_gigabytes(prompts['peak_bytes'])} (LoRA {_gigabytes(lora['peak_bytes'])})",
            THREAD,
        ],
        [
            "the same, a step of the search",
            f"{search['ratio_time']:.2f} of it",
            _gigabytes(search["peak_bytes"]),
            THREAD,
        ],
    ]


def _bf16() -> list[str]:
    """Say how many times as fast steps are in bf16 on a CPU that has instructions for it."""
    ours = [
        record["speedup"]
        for record in load("precision")["records"]
        if record["precision"] == "bf16" and record["name"] in OURS
    ]
    return [
        "a step in bf16 on a CPU with instructions for it (`training.precision=bf16`)",
        f"{min(ours):.1f} to {max(ours):.1f} times as fast as in 32 bits",
        "",
        THREAD,
    ]


def _gpu() -> list[list[str]]:
    """Say how many tokens a second RoBERTa-large trains on."""
    result = load("gpu")
    of: Mapping[str, Any] = {
        record["name"]: f"{record['tokens_per_second']:,.0f}"
        for record in result["records"]
        if record["shape"] == "roberta-large"
    }
    card = f"one {result['machine']['gpu'].removeprefix('NVIDIA ')}"
    return [
        [
            "training RoBERTa-large in bf16 with a prompt at layer 12",
            f"{of['late_12']} tokens a second (LoRA {of['peft_lora']})",
            "",
            card,
        ],
        [
            "the same, states below the prompt cached, and compiled",
            f"{of['late_12_cached_compiled']} tokens a second",
            "",
            card,
        ],
    ]


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
