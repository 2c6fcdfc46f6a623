"""The demo over seeds, and the rates of the input prompt beside it: `python -m benchmarks demo`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.record import command_of, mean_and_spread, write_result
from experiments import demo
from experiments.run.results import RunMetrics
from experiments.without_search import run_without_search
from spt.answers.score_intervals import share_interval
from spt.errors import MachineFault
from spt.storage.json_files import read_json

RATES = (0.01, 0.02, 0.05, 0.1)
# whose rows and order are those of no seed that is reported
RATE_SEED = 100
ADVICE = "Delete it, and repeat the command."
KEPT = (
    "layers",
    "layers_total",
    "dev_metric",
    "test_metric",
    "test_size",
    "tunable_parameters",
    "search_flops",
    "train_flops",
    "total_flops",
    "total_seconds",
)


def measure_demo(seeds: int) -> Path:
    """Run what is missing of the demos and the rates in the working directory, and write the JSON.

    Args:
        seeds: how many, from 0.

    Returns:
        The path of the JSON.

    Raises:
        MachineFault: if a demo's trials all failed.
    """
    rates = {rate: dev_of_rate(rate).dev_metric for rate in RATES}
    records = [record_of(summary_of(seed)) for seed in range(seeds)]
    differences = [record["difference"] for record in records]
    return write_result(
        "demo",
        command_of("demo", "--seeds", seeds),
        records,
        input_prompt={
            "rate": demo.INPUT_RATE,
            "epochs": demo.INPUT_EPOCHS,
            "seed_of_rates": RATE_SEED,
            "dev_metric_by_rate": {f"{rate:g}": dev for rate, dev in rates.items()},
        },
        difference=mean_and_spread(differences),
        share_of_operations=mean_and_spread([record["share_of_operations"] for record in records]),
    )


def dev_of_rate(rate: float) -> RunMetrics:
    """Train the demo's input prompt at a rate, or read that back."""
    config = demo.compared_config("input_prompt", RATE_SEED)
    folder = demo.RUNS / "demo_rates" / f"{rate:g}"
    return run_without_search(config, "input_prompt", folder, rate)


def summary_of(seed: int) -> dict[str, Any]:
    """Run the demo with a seed, or read back what it left."""
    folder = demo.RUNS / f"demo_seed{seed}"
    if not (folder / "summary.json").exists() and demo.run_demo(Console(highlight=False), folder, seed):
        raise MachineFault(f"The demo of seed {seed} has no result; its trials say why above.")
    return read_json(folder / "summary.json", ADVICE)


def record_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a demo: the best trial beside the baselines."""
    rows = {"best_trial": summary["metrics"], **summary["baselines"]}
    mine, theirs = summary["metrics"], summary["baselines"]["input_prompt"]
    return {
        "seed": summary["seed"],
        "difference": mine["test_metric"] - theirs["test_metric"],
        "share_of_operations": mine["total_flops"] / theirs["total_flops"],
        "trials": summary["trials"],
        "trials_flops": summary["trials_flops"],
        **{name: {key: row[key] for key in KEPT} | _interval(row) for name, row in rows.items()},
    }


def _interval(metrics: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {"test_interval": share_interval(metrics["test_metric"], metrics["test_size"])}
