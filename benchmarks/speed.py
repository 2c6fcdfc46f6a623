"""What a training step costs beside peft and full fine-tuning: `python -m benchmarks.speed`.

FLOPs and bytes saved for the backward pass are exact and the same on every machine; seconds are medians of
steps taken in turn in one process. The unit of the ratios is one peft PromptTuning step.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

from benchmarks.contenders import CYCLE, Contender, Shape, contenders
from benchmarks.measure import flops, interleaved_seconds, saved_bytes
from benchmarks.record import write_result

UNIT = "peft_prompt_tuning"
PER_CYCLE = ("search_step",)


def counts(contender: Contender) -> dict[str, float]:
    """Exact FLOPs of one step, and the bytes it saves; those of a cycle overwrite each other."""
    if contender.name in PER_CYCLE:
        return {"flops": flops(contender.step) / CYCLE}
    saved = saved_bytes(contender.step, contender.parameters)
    return {"flops": flops(contender.step), "saved_bytes": saved}


def ratios(figures: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """A record a method: its figures, and each in units of UNIT's."""
    unit = figures[UNIT]
    return [
        {"name": name, **{f"ratio_{key}": value / unit[key] for key, value in found.items()}, **found}
        for name, found in figures.items()
    ]


def main() -> None:
    """Measure and write benchmarks/results/speed.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="timed steps a method")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    methods = list(contenders(Shape(), device))
    figures = {method.name: counts(method) for method in methods}
    seconds = interleaved_seconds({method.name: method.step for method in methods}, given.repeats)
    for name, value in seconds.items():
        figures[name]["time"] = value / (CYCLE if name in PER_CYCLE else 1)
    records = ratios(figures)
    write_result("speed", "python -m benchmarks.speed", records, unit=UNIT, shape=Shape().__dict__)
    for record in records:
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in record.items()})


if __name__ == "__main__":
    main()
