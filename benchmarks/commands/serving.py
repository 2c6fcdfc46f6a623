"""What many tasks on one backbone take to answer, and what the HTTP server bears."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.options import Result, measuring


def serving(
    folder: Annotated[Path, typer.Option(help="Where finished parts are kept.")] = Path("runs/serving"),
    tasks: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Tasks to serve; repeat it.", show_default="1, 4, 16 and 64"),
    ] = None,
    texts: Annotated[int, typer.Option(min=1, help="TREC questions of the stream.")] = 32,
    seconds: Annotated[
        float, typer.Option(min=0, help="Of each number of tasks and each workload; at least three rounds.")
    ] = 60,
    adapters_python: Annotated[
        Path | None,
        typer.Option(help="Python of an environment with adapters 1.2, whose Parallel is measured too."),
    ] = None,
    result: Annotated[
        str, typer.Option(help="Name of the JSON and the plot that are written into benchmarks/results.")
    ] = "serving",
) -> None:
    """Measure answers of many tasks: fan-out beside separate passes and models, peft's LoRA, adapters.

    Resumable part by part; delete the folder to measure again. A quarter of an hour of one core.
    """
    with measuring(packages=("peft",)):
        from benchmarks.serving.measure import ServingBench, measure_serving

        bench = ServingBench(tasks=tuple(tasks or ServingBench.tasks), texts=texts, seconds=seconds)
        print(measure_serving(folder, bench, result, adapters_python))


def serving_http(
    seconds: Annotated[float, typer.Option(min=1, help="Of the sustained load.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Of the requests, and of when they are sent.")] = 0,
    result: Result = "serving_http",
) -> None:
    """Put a load on `spt serve`: what it can do, minutes below that, and more than its queue takes."""
    with measuring("Stopped; nothing is kept.", ("fastapi", "uvicorn", "prometheus_client", "httpx")):
        from benchmarks.http_load.measure import measure_http

        print(measure_http(seconds, seed, result))


def serving_replicas(
    seed: Annotated[int, typer.Option(min=0, help="Of the requests.")] = 0,
    result: Result = "serving_replicas",
) -> None:
    """Kill one of two replicas of a Ray Serve application on this machine under load."""
    with measuring("Stopped; nothing is kept.", ("fastapi", "prometheus_client", "httpx")):
        from benchmarks.http_load.measure import measure_replicas

        print(measure_replicas(seed, result))
