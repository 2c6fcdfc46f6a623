"""`python -m benchmarks serving`: what N tasks take to answer one text and a stream of texts.

Systems answer in turn in one process, so that a slow moment of the machine hits all alike; ratios are of
medians. Operations are exact and the same on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.cost.measure import peak_bytes
from benchmarks.cost.speed import part
from benchmarks.record import command_of, write_result
from benchmarks.serving import peft_systems, systems
from benchmarks.serving.adapters_parallel import Worker
from benchmarks.serving.chart import chart
from benchmarks.serving.systems import NewSystem, Setup, System, Texts
from spt.data.config import DataConfig
from spt.data.loading import load_splits
from spt.errors import InputError
from spt.process.devices import use_threads
from spt.storage.files import write_text
from spt.tasks import get_task

UNIT = "separate_passes"
SYSTEMS: Mapping[str, NewSystem] = {
    "fan_out": systems.fan_out,
    "fan_out_known": systems.fan_out_known,
    UNIT: systems.separate_passes,
    "separate_models": systems.separate_models,
    "peft_lora_switched": peft_systems.lora_switched,
    "peft_lora_mixed": peft_systems.lora_mixed,
    "peft_lora_merged": peft_systems.lora_merged,
}
# a copy of the backbone a task: these stop where the memory of a machine would
COPIES, MOST_COPIES = {"separate_models", "peft_lora_merged"}, 4
# adapters in all layers, and only from where our prompts begin
PARALLEL, PARALLEL_LATE = "adapters_parallel", "adapters_parallel_late"
LEAST_ROUNDS = 3
MEGABYTE = 2**20


@dataclass(frozen=True)
class ServingBench:
    """Say what is measured, and for how long.

    Attributes:
        setup: what is served.
        tasks: numbers of tasks N.
        texts: of the stream.
        batch: texts of the stream that are asked about together.
        seconds: of each number of tasks and each workload, after which no further round begins.
    """

    setup: Setup = field(default_factory=Setup)
    tasks: tuple[int, ...] = (1, 4, 16, 64)
    texts: int = 8
    batch: int = 4
    seconds: float = 30


def measure_serving(
    folder: Path, bench: ServingBench, result: str, adapters_python: Path | None = None
) -> Path:
    """Measure what is missing in a folder, and write benchmarks/results/<result>.json and .svg.

    Args:
        folder: where finished parts are kept, so that a stopped measurement goes on.
        bench: what is measured.
        result: name of the files.
        adapters_python: of an environment with the library adapters; None leaves adapters.Parallel out.

    Returns:
        The JSON file.
    """
    use_threads(1)
    texts = trec_texts(bench.texts)
    records, differences, versions = [], {}, {}
    for tasks in bench.tasks:
        measured = part(
            folder, f"tasks_{tasks}", partial(measure_tasks, tasks, bench, texts, adapters_python)
        )
        peaks = part(folder, f"peaks_{tasks}", partial(all_peaks, tasks, bench.setup, texts[: bench.batch]))
        peaks |= measured["adapters_peaks"]
        records += [
            {**record, "peak_mb": round(peaks[record["system"]] / MEGABYTE, 1)}
            for record in measured["records"]
        ]
        differences[str(tasks)] = measured["largest_difference"]
        versions.update(measured["adapters_versions"])
    arguments: list[object] = ["--texts", bench.texts, "--seconds", f"{bench.seconds:g}"]
    arguments += [word for tasks in bench.tasks for word in ("--tasks", tasks)]
    arguments += ["--adapters-python", "PYTHON"] if adapters_python else []
    path = write_result(
        result,
        command_of("serving", *arguments, result=result),
        records,
        setup=asdict(bench.setup),
        batch=bench.batch,
        words_a_text=float(np.mean([len(text.split()) for text in texts])),
        unit=UNIT,
        largest_difference=differences,
        adapters_versions=versions,
    )
    write_text(path.with_suffix(".svg"), chart(records))
    return path


def trec_texts(count: int) -> list[str]:
    """Return the first questions of TREC's test split.

    Raises:
        InputError: if it has not so many.
    """
    questions = load_splits(get_task("trec"), DataConfig(), seed=0)["test"]["text"][:count]
    if len(questions) < count:
        raise InputError(f"TREC has {len(questions)} test questions, but --texts is {count}. Ask for fewer.")
    return list(questions)


def measure_tasks(
    tasks: int, bench: ServingBench, texts: Texts, adapters_python: Path | None
) -> dict[str, Any]:
    """Return a record a system and workload for one number of tasks."""
    ways = {
        name: new(bench.setup, tasks)
        for name, new in SYSTEMS.items()
        if name not in COPIES or tasks <= MOST_COPIES
    }
    workers = new_workers(bench, tasks, adapters_python)
    ways |= {name: worker.system() for name, worker in workers.items()}
    try:
        by_length = sorted(texts, key=lambda text: len(text.split()))
        workloads: dict[str, list[Texts]] = {
            "one_text": [[by_length[len(texts) // 2]]],
            "stream": [texts[first : first + bench.batch] for first in range(0, len(texts), bench.batch)],
        }
        records = []
        for workload, batches in workloads.items():
            operations = warmed_up(ways, batches)
            seconds = timed(ways, batches, bench.seconds)
            unit = typical(seconds[UNIT])
            records += [
                {
                    "workload": workload,
                    "system": name,
                    "tasks": tasks,
                    **figures(seconds[name], batches, tasks),
                    "flops": operations[name],
                    "ratio_time": typical(seconds[name]) / unit,
                }
                for name in ways
            ]
        return {
            "records": records,
            "largest_difference": largest_difference(ways["fan_out"], ways[UNIT], texts),
            "adapters_peaks": {
                name: worker.figures(texts[: bench.batch])["peak_bytes"] for name, worker in workers.items()
            },
            "adapters_versions": next((worker.versions for worker in workers.values()), {}),
        }
    finally:
        for way in ways.values():
            way.close()


def new_workers(bench: ServingBench, tasks: int, python: Path | None) -> dict[str, Worker]:
    """Start adapters.Parallel with adapters in all layers, and in those where our prompts are."""
    if python is None:
        return {}
    first_layers = {PARALLEL: 0, PARALLEL_LATE: bench.setup.first_layer}
    return {name: Worker(python, bench.setup, tasks, first) for name, first in first_layers.items()}


def warmed_up(ways: Mapping[str, System], batches: Sequence[Texts]) -> dict[str, int]:
    """Ask each way about all batches once, which fills its cache, and return the operations that it took."""
    return {name: sum(map(way.flops, batches)) for name, way in ways.items()}


def timed(
    ways: Mapping[str, System], batches: Sequence[Texts], seconds: float
) -> dict[str, list[list[float]]]:
    """Return what each way took for each batch, round by round: [rounds, batches].

    Each batch is asked of all ways in turn.
    """
    times: dict[str, list[list[float]]] = {name: [] for name in ways}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[UNIT]) < LEAST_ROUNDS:
        for rounds in times.values():
            rounds.append([])
        for batch in batches:
            for name, way in ways.items():
                begin = time.perf_counter()
                way.answer(batch)
                times[name][-1].append(time.perf_counter() - begin)
    return times


def typical(rounds: Sequence[list[float]]) -> float:
    """Return the seconds of all batches together, of each its median over the rounds [rounds, batches]."""
    return float(sum(median(times) for times in zip(*rounds, strict=True)))


def figures(rounds: Sequence[list[float]], batches: Sequence[Texts], tasks: int) -> dict[str, Any]:
    """Return rates and latencies of calls, each of which asks all tasks about one batch."""
    texts = sum(map(len, batches))
    rate = texts / typical(rounds)
    calls = np.concatenate([np.asarray(each) for each in rounds])
    p50, p99 = 1000 * np.percentile(calls, [50, 99])
    return {
        "texts": texts,
        "calls": len(calls),
        "texts_per_second": rate,
        "tasks_texts_per_second": tasks * rate,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
    }


def largest_difference(one: System, other: System, texts: Texts) -> float:
    """Return how far the probabilities of two systems are apart at most."""
    return float(np.abs(one.answer(texts) - other.answer(texts)).max())


def all_peaks(tasks: int, setup: Setup, texts: Texts) -> dict[str, int]:
    """Return the most bytes that a process of each system holds, libraries and loading included."""
    context = get_context("forkserver")
    # each system's process begins with the libraries loaded, and with nothing else
    context.set_forkserver_preload([__name__])
    peaks = {}
    for name in SYSTEMS:
        if name not in COPIES or tasks <= MOST_COPIES:
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                peaks[name] = pool.submit(peak, name, setup, tasks, texts).result()
    return peaks


def peak(name: str, setup: Setup, tasks: int, texts: Texts) -> int:
    """Return the peak memory of a system that answers once; to be called in a process of its own."""
    use_threads(1)
    SYSTEMS[name](setup, tasks).answer(texts)
    return peak_bytes()
