"""The README's result tables, from the JSON files in benchmarks/results: `python -m benchmarks.tables`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS

README = Path(__file__).parents[1] / "README.md"
SECTION = re.compile(
    r"(<!-- results: made by python -m benchmarks.tables -->\n).*?(<!-- end of results -->)", re.S
)
GROWTH = "Operations and saved bytes of a step as layers, tokens, prompt length and prompt layers grow"
NAMES = {
    "spt_darts": "SPT-DARTS",
    "input_prompt": "input prompt tuning",
    "head": "head alone",
    "peft_prompt_tuning": "peft PromptTuning training",
    "late_two": "two late layers",
}


def _load(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def _percent(score: dict[str, float]) -> str:
    return f"{100 * score['mean']:.1f} ± {100 * score['sd']:.1f}"


def main_job() -> str:
    """Accuracy over seeds, and the layers of each seed."""
    result = _load("main_job")
    records = result["records"]
    size, seeds = records[0]["train_size"], result["summary"]["head"]["test_accuracy"]["n"]
    lines = [
        f"MiniLM-L6 on the embedded TREC questions ({size:,} to train on), mean and standard deviation of "
        f"{seeds} seeds, equal epochs, one core; made by `{result['command']}`:",
        "",
        "| method | dev % | test % | tunable parameters | layers by seed | search + training s |",
        "|---|---|---|---|---|---|",
    ]
    for method, scores in result["summary"].items():
        runs = [record for record in records if record["method"] == method]
        layers = ", ".join("+".join(map(str, run["layers"])) or "none" for run in runs)
        seconds = sum(run["search_seconds"] + run["train_seconds"] for run in runs) / len(runs)
        lines.append(
            f"| {NAMES[method]} | {_percent(scores['dev_accuracy'])} | {_percent(scores['test_accuracy'])} "
            f"| {runs[0]['tunable_parameters']:,} | {layers} | {seconds:.0f} |"
        )
    return "\n".join(lines)


def search_cost() -> str:
    """What search and retraining cost together, and the whole runs where they are recorded."""
    result = _load("search_cost")
    ratios, records = result["ratios"], result["records"]
    sentence = (
        f"Search and retraining together cost {ratios['flops']:.2f} times the FLOPs and "
        f"{ratios['seconds']:.2f} times the seconds of one {NAMES[records[0]['name']]} of the same epochs, "
        f"side by side in one process (`{result['command']}`)."
    )
    settings = result["settings"]
    lines = [
        f"{sentence} MiniLM-L6, {settings['data.train_size']:,} TREC questions, "
        f"{settings['training.epochs']} epochs, one seed:",
        "",
        "| run | FLOPs | time | dev % | test % | layers |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {NAMES[r['name']]} | {r['ratio_flops']:.2f} | {r['ratio_time']:.2f} "
        f"| {100 * r['dev_accuracy']:.1f} | {100 * r['test_accuracy']:.1f} "
        f"| {'+'.join(map(str, r['layers'])) or 'none'} |"
        for r in records
    ]
    return "\n".join(lines)


def speed() -> str:
    """A step of each method beside one of peft's PromptTuning."""
    result = _load("speed")
    shape = result["shape"]
    by_threads: dict[int, dict[str, dict[str, Any]]] = {}
    for record in result["records"]:
        by_threads.setdefault(record["threads"], {})[record["name"]] = record
    first = next(iter(by_threads.values()))
    times = [f"time, {threads} thread{'s' * (threads > 1)}" for threads in by_threads]
    share = result["generation"]["share_of_time"]
    lines = [
        f"One training step of a BERT of {shape['layers']} layers with B {shape['batch']}, "
        f"T {shape['tokens']} and P {shape['prompt']}, in units of one peft PromptTuning step; made by "
        f"`{result['command']}`. Making the prompts takes {100 * share:.1f} % of a step.",
        "",
        f"| method | FLOPs | saved activations | peak memory | {' | '.join(times)} |",
        "|---" * (4 + len(times)) + "|",
    ]
    for name, record in first.items():
        ratios = [record.get(f"ratio_{key}") for key in ("flops", "saved_bytes", "peak_bytes")]
        ratios += [found[name]["ratio_time"] for found in by_threads.values()]
        cells = " | ".join("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
        lines.append(f"| `{name}` | {cells} |")
    latencies = ", ".join(
        f"{record['name'].replace('_', ' ')} {record['ratio_time']:.2f}"
        for record in result["latencies"]
        if record["threads"] == min(by_threads)
    )
    answers = f"Time to answer a batch, in units of the unprompted model: {latencies}."
    return "\n".join([*lines, "", answers, "", f"![{GROWTH}](benchmarks/results/speed.svg)"])


def tables() -> str:
    """The README's results section."""
    parts = [main_job(), search_cost()]
    if (RESULTS / "speed.json").exists():
        parts.append(speed())
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Put the tables into the README."""
    text = README.read_text(encoding="utf-8")
    README.write_text(SECTION.sub(lambda match: f"{match[1]}{tables()}{match[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
