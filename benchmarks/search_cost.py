"""What a search with its retraining costs, in units of one input prompt tuning of the same epochs.

Both run side by side in one process, in turn, on the same training rows: `python -m benchmarks.search_cost`.
FLOPs are counted once with torch's counter over the whole runs, evaluation included; seconds are medians.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.main_job import config_of
from benchmarks.measure import flops, interleaved_seconds
from benchmarks.record import write_result
from experiments.config import RunConfig
from experiments.pipeline import run


def fresh(config: RunConfig) -> dict[str, Any]:
    """A run in a folder of its own, with nothing cached before it."""
    with tempfile.TemporaryDirectory() as folder:
        return run(config, Path(folder) / "run")


def main() -> None:
    """Measure and write benchmarks/results/search_cost.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train-size", type=int, default=320)
    parser.add_argument(
        "--epochs", type=int, default=4, help="of the search, the retraining and the baseline"
    )
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    overrides = [
        f"data.train_size={given.train_size}",
        "data.dev_size=100",
        "data.test_size=100",
        f"training.epochs={given.epochs}",
        f"training.patience={given.epochs}",
        f"search.epochs={given.epochs}",
        "cache=memory",
        "threads=1",
    ]
    configs = {name: config_of(name, 0, overrides) for name in ("input_prompt", "spt_darts")}
    operations = {name: flops(lambda c=config: fresh(c)) for name, config in configs.items()}
    typical = interleaved_seconds(
        {name: lambda c=config: fresh(c) for name, config in configs.items()}, given.repeats
    )
    records = [{"name": name, "flops": operations[name], "median_seconds": typical[name]} for name in configs]
    ratios = {
        "flops": operations["spt_darts"] / operations["input_prompt"],
        "seconds": typical["spt_darts"] / typical["input_prompt"],
    }
    write_result(
        "search_cost", "python -m benchmarks.search_cost", records, ratios=ratios, overrides=overrides
    )
    print(ratios)


if __name__ == "__main__":
    main()
