"""What steps, searches and much data take."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.options import Result, measuring


def speed(
    folder: Annotated[Path, typer.Option(help="Where finished parts are kept.")] = Path("runs/speed"),
    repeats: Annotated[int, typer.Option(min=1, help="Timed steps of each method.")] = 3,
    result: Annotated[
        str, typer.Option(help="Name of the JSON and the plot that are written into benchmarks/results.")
    ] = "speed",
) -> None:
    """Measure a step beside peft's methods: FLOPs, saved bytes, peak memory, time, latency, growth.

    Resumable part by part; delete the folder to measure again.
    """
    with measuring(packages=("peft",)):
        from benchmarks.cost.speed import measure_speed

        print(measure_speed(folder, repeats, result))


def search_cost(
    train_size: Annotated[int, typer.Option(min=50, help="TREC questions to train on.")] = 2000,
    epochs: Annotated[int, typer.Option(min=2, help="Of the search and of each training.")] = 4,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each, after one that warms up.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of all runs.")] = 0,
    result: Result = "search_cost",
) -> None:
    """Measure whole runs: peft's PromptTuning, search with retraining, and two late layers."""
    with measuring("Stopped; nothing is kept.", ("peft",)):
        from benchmarks.cost.search_cost import measure_search_cost

        print(measure_search_cost(train_size, epochs, repeats, seed, result))


def precision(
    repeats: Annotated[int, typer.Option(min=1, help="Timed steps of each kind.")] = 9,
    result: Result = "precision",
) -> None:
    """Measure what bf16 is worth on a CPU: steps beside the same in 32 bits, and with attention in bf16 too.

    A minute of one core.
    """
    with measuring("Stopped; nothing is kept.", ("peft",)):
        from benchmarks.cost.precision import measure_precision

        print(measure_precision(repeats, result))


def gpu(
    minutes: Annotated[float, typer.Option(min=0.1, help="After which no further part begins.")] = 10,
    result: Result = "gpu",
) -> None:
    """Measure on the GPU at hand: its tests, steps in bf16, the largest batch, several trials on one card.

    Needs no network, and neither NNI, Ray nor Optuna.
    """
    with measuring("Stopped; finished parts are in the result.", ("peft",)):
        from benchmarks.gpu.measure import measure_gpu

        print(measure_gpu(minutes, result))


def load(
    rows: Annotated[int, typer.Option(min=100, help="Rows of a CSV file to load and encode.")] = 100_000,
    lines: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Lines of a text file to answer; repeat it.",
            show_default="10,000, 100,000 and 200,000",
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=10, help="Finished runs to compare.")] = 1000,
    result: Result = "load",
) -> None:
    """Measure what much data takes: memory of loading and encoding, lines a second, the page of many runs.

    A few minutes of one core.
    """
    with measuring("Stopped; nothing is kept."):
        from benchmarks.load import measure_load

        print(measure_load(rows, lines or [10_000, 100_000, 200_000], runs, result))


def export(
    folder: Annotated[Path, typer.Option(help="Of the run, which is not repeated, and the exports.")] = Path(
        "runs/export"
    ),
    train_size: Annotated[int, typer.Option(min=50, help="TREC questions to train on.")] = 2000,
    result: Result = "export",
) -> None:
    """Measure what ONNX and weights of 8 bits change: a prompt's accuracy on TREC, its answers and size."""
    with measuring(packages=("onnx", "onnxscript", "onnxruntime")):
        from benchmarks.export import measure_export

        print(measure_export(folder, train_size, result))
