"""The load tests of the HTTP server: minutes below its capacity, more than its queue takes, and a kill."""

from __future__ import annotations

import asyncio
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.http_load.client import Load, load
from benchmarks.http_load.prompts import BACKBONE, LAYERS, MOST_TEXTS, request_bodies, save_prompts
from benchmarks.http_load.replicas import killed_replica
from benchmarks.http_load.server import serving
from benchmarks.record import command_of, write_result

PACKAGES = ("fastapi", "uvicorn", "prometheus-client", "httpx")
# of the answers that may wait; one that a few seconds of too much load fill
QUEUE = 512
CLIENTS, CAPACITY_SECONDS = 16, 20.0
# of the capacity, before and beyond the bound
BELOW, ABOVE = 0.4, 4.0
ABOVE_SECONDS = 20.0
SAMPLE_SECONDS = 5.0


def measure_http(seconds: float, seed: int, result: str) -> Path:
    """Measure `spt serve`, and write benchmarks/results/<result>.json.

    Args:
        seconds: of the sustained load.
        seed: of the requests.
        result: name of the file.
    """
    records: list[dict[str, Any]] = []
    bodies = request_bodies(seed)

    def record(load_name: str, under_load: Load, **more: Any) -> None:
        records.append({"load": load_name, **under_load.record(), **more})

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shelf = save_prompts(folder / "prompts")
        with serving(shelf, folder / "serve.log", f"--queue={QUEUE}") as (url, process):
            turns = load(url, bodies, seed, lambda each: each.by_turns(CLIENTS, CAPACITY_SECONDS))
            record(f"as fast as {CLIENTS} clients ask by turns", turns)
            rate = records[0]["requests_per_second"]
            memory = Memory(process)
            sustained = load(
                url, bodies, seed + 1, lambda each: memory.beside(each.at_rate(BELOW * rate, seconds))
            )
            record(f"{BELOW:g} times as many, whoever is answered", sustained, **memory.record())
            above = load(url, bodies, seed + 2, lambda each: each.at_rate(ABOVE * rate, ABOVE_SECONDS))
            record(f"{ABOVE:g} times as many", above)
    command = command_of("serving-http", "--seconds", f"{seconds:g}", "--seed", seed, result=result)
    return write_result(result, command, records, settings={**settings(seed), "queue": QUEUE})


def measure_replicas(seed: int, result: str) -> Path:
    """Kill one of two replicas under load, and write benchmarks/results/<result>.json.

    Args:
        seed: of the requests.
        result: name of the file.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        killed = killed_replica(save_prompts(folder / "prompts"), folder, request_bodies(seed), seed)
    command = command_of("serving-replicas", "--seed", seed, result=result)
    return write_result(result, command, [killed], settings=settings(seed))


def settings(seed: int) -> dict[str, Any]:
    """Return what was asked of what, as results have it."""
    return {
        "backbone": BACKBONE,
        "layers": LAYERS,
        "most_texts": MOST_TEXTS,
        "seed": seed,
        "packages": {package: version(package) for package in PACKAGES},
    }


class Memory:
    """Sample the resident memory of a process while something else is done.

    Args:
        process: that is looked at.
    """

    def __init__(self, process: psutil.Process) -> None:
        self.process = process
        self.samples: list[int] = []

    async def beside(self, work: Any) -> None:
        """Look again and again until the work is done."""
        sampling = asyncio.create_task(self._sample())
        await work
        sampling.cancel()
        self.samples.append(self.process.memory_info().rss)

    async def _sample(self) -> None:
        while True:
            self.samples.append(self.process.memory_info().rss)
            await asyncio.sleep(SAMPLE_SECONDS)

    def record(self) -> dict[str, float]:
        """Return the first, the last and the largest sample, in megabytes."""
        first, last, most = self.samples[0], self.samples[-1], max(self.samples)
        return {
            "rss_mb_begin": round(first / 2**20, 1),
            "rss_mb_end": round(last / 2**20, 1),
            "rss_mb_most": round(most / 2**20, 1),
        }
