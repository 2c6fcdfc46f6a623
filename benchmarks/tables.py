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
NAMES = {"spt_darts": "SPT-DARTS", "input_prompt": "input prompt tuning", "head": "head alone"}


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
    """What search and retraining cost together."""
    result = _load("search_cost")
    ratios = result["ratios"]
    return (
        f"Search and retraining together cost {ratios['flops']:.2f} times the FLOPs and "
        f"{ratios['seconds']:.2f} times the seconds of one input prompt tuning of the same epochs, side by "
        f"side in one process (`{result['command']}`)."
    )


def tables() -> str:
    """The README's results section."""
    return f"{main_job()}\n\n{search_cost()}\n"


def main() -> None:
    """Put the tables into the README."""
    text = README.read_text(encoding="utf-8")
    README.write_text(SECTION.sub(lambda match: f"{match[1]}{tables()}{match[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
