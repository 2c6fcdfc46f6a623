"""`python -m benchmarks speed`: what a training step costs beside peft and full fine-tuning.

FLOPs and bytes saved for the backward pass are exact and the same on every machine; seconds are medians of
steps taken in turn in one process. The unit of the ratios is one peft PromptTuning step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.cost.contenders import Contender, Shape, late_layers, model_of, random_backbone
from benchmarks.cost.growth import chart, growth
from benchmarks.cost.measure import in_own_process, interleaved_seconds, matmul_rate, peak_bytes, saved_bytes
from benchmarks.cost.search_step import CYCLE, SEARCHES, contenders_and_searches
from benchmarks.record import command_of, write_result
from spt.errors import InputError
from spt.flops import flops
from spt.storage.files import write_text
from spt.storage.json_files import read_json

UNIT = "peft_prompt_tuning"
AGAIN = "Delete it to measure it again."
RATIOS = {
    "flops": "ratio_flops",
    "saved_bytes": "ratio_saved_bytes",
    "peak_bytes": "ratio_peak_bytes",
    "seconds": "ratio_time",
}


def measure_speed(folder: Path, repeats: int, result: str, shape: Shape | None = None) -> Path:
    """Measure what is missing in a folder and write benchmarks/results/<result>.json and .svg.

    Args:
        folder: where finished parts are kept, so that a stopped measurement goes on.
        repeats: timed steps of each method, for one thread and for all.
        result: name of the files.
        shape: of the methods; BERT-base with B 8, T 128 and P 10 by default.

    Returns:
        The JSON file.
    """
    shape = shape or Shape()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    every = torch.get_num_threads()
    peaks = part(folder, "peaks", lambda: {name: in_own_process(peak, name, shape) for name in names(shape)})
    makers = contenders_and_searches(shape, device)
    counted = part(folder, "counts", lambda: {name: counts(make()) for name, make in makers.items()})
    records, latencies, rates = [], [], {}
    for threads in sorted({every} if device.type == "cuda" else {1, every}):
        timed = part(folder, f"threads_{threads}", partial(timings, shape, device, repeats, threads))
        figures = {
            name: {**counted[name], "peak_bytes": peaks[name], "seconds": seconds}
            for name, seconds in timed["steps"].items()
        }
        rates[str(threads)] = rate = timed["matmul_rate"]
        tokens = shape.batch * shape.tokens
        records += [
            {
                **record,
                "threads": threads,
                "tokens_per_second": tokens / record["seconds"],
                "share_of_matmul_rate": record["flops"] / record["seconds"] / rate,
            }
            for record in ratios(figures)
        ]
        latencies += [{"threads": threads, **latency} for latency in timed["latencies"]]
    grown = part(folder, "growth", lambda: growth(device, repeats))
    path = write_result(
        result,
        command_of("speed", "--repeats", repeats, result=result),
        records,
        unit=UNIT,
        shape=shape.__dict__,
        matmul_rates=rates,
        latencies=latencies,
        generation=part(folder, "generation", lambda: generation(shape, device, repeats)),
        growth=grown,
    )
    write_text(path.with_suffix(".svg"), chart(grown))
    return path


def part(folder: Path, name: str, measured: Callable[[], Any]) -> Any:
    """Read one part of the measurement back where the folder has it, else measure and write it."""
    path = folder / f"{name}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({name: measured()}) + "\n")
        print(f"measured: {name}", flush=True)
    content = read_json(path, AGAIN)
    if name not in content:
        raise InputError(f"'{path}' does not hold the part '{name}'. {AGAIN}")
    return content[name]


def names(shape: Shape) -> list[str]:
    """Return the names of all methods."""
    return list(contenders_and_searches(shape, torch.device("cpu")))


def peak(name: str, shape: Shape) -> int:
    """Return the peak memory of two steps of a method; to be called in a process of its own."""
    method = contenders_and_searches(shape, torch.device("cuda" if torch.cuda.is_available() else "cpu"))[
        name
    ]()
    for _ in range(2):
        method.step()
    return peak_bytes()


def counts(contender: Contender) -> dict[str, float]:
    """Count the exact FLOPs of one step, and the bytes it saves; those of a cycle overwrite each other."""
    if contender.name in SEARCHES:
        return {"flops": flops(contender.step) / CYCLE}
    saved = saved_bytes(contender.step, contender.parameters)
    return {"flops": flops(contender.step), "saved_bytes": saved}


def timings(shape: Shape, device: torch.device, repeats: int, threads: int) -> dict[str, Any]:
    """Return the median seconds of each method's step and of inference, with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        steps = {name: make().step for name, make in contenders_and_searches(shape, device).items()}
        seconds = interleaved_seconds(steps, repeats)
        for name in SEARCHES.keys() & seconds.keys():
            seconds[name] /= CYCLE
        return {
            "steps": seconds,
            "latencies": latency(shape, device, repeats),
            "matmul_rate": matmul_rate(device),
        }
    finally:
        torch.set_num_threads(before)


def ratios(figures: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return a record a method: its figures, and each in units of UNIT's."""
    unit = figures[UNIT]
    return [
        {"name": name, **{RATIOS[key]: value / unit[key] for key, value in figure.items()}, **figure}
        for name, figure in figures.items()
    ]


def latency(shape: Shape, device: torch.device, repeats: int) -> list[dict[str, Any]]:
    """Time answering a batch with prompts, and return the ratio to the same without any."""
    backbone = random_backbone(shape, device)
    rows = shape.rows(device)
    layers: dict[str, Sequence[int]] = {
        "unprompted": (),
        "late_layer": (shape.layers // 2,),
        "late_layers": late_layers(shape.layers),
        "input_prompt": (0,),
    }

    def answer(chosen: Sequence[int]) -> Callable[[], object]:
        model = model_of(shape, backbone, chosen).to(device).eval()
        return lambda: torch.inference_mode()(model)(rows)

    seconds = interleaved_seconds({name: answer(chosen) for name, chosen in layers.items()}, 3 * repeats)
    plain = seconds["unprompted"]
    return [{"name": name, "seconds": value, "ratio_time": value / plain} for name, value in seconds.items()]


def generation(shape: Shape, device: torch.device, repeats: int) -> dict[str, float]:
    """Return the share that making the prompts has, forward and backward, in a step of four late layers."""
    backbone = random_backbone(shape, device)
    layers, rows = late_layers(shape.layers), shape.rows(device)
    model = model_of(shape, backbone, layers).to(device)
    generators: list[Any] = [model.choices[layer].generator for layer in layers]
    hidden = torch.randn(shape.batch, shape.tokens, shape.hidden, device=device, requires_grad=True)

    def generate() -> None:
        for generator in generators:
            generator(hidden, rows["attention_mask"]).sum().backward()

    def step() -> None:
        torch.nn.functional.cross_entropy(model(rows).logits, rows["labels"]).backward()

    seconds = interleaved_seconds({"generation": generate, "step": step}, 3 * repeats)
    return {
        "share_of_flops": flops(generate) / flops(step),
        "share_of_time": seconds["generation"] / seconds["step"],
    }
