"""The main job over seeds: SPT-DARTS beside the head alone and input prompt tuning, on equal data and epochs.

`python -m benchmarks.main_job` is resumable: runs that are done are read back from runs/main_job.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

from benchmarks.record import RESULTS, mean_and_spread, write_result
from experiments.baselines import Baseline, baseline_config
from experiments.config import RunConfig, load_config, parse_overrides
from experiments.grid import Outcome, run_grid
from spt.errors import TrialFailed

CONFIG = Path("experiments") / "configs" / "trec.yml"
METHODS = ("spt_darts", *get_args(Baseline))
KEPT = (
    "layers",
    "dev_accuracy",
    "test_accuracy",
    "f1",
    "tunable_parameters",
    "search_seconds",
    "train_seconds",
    "gates",
    "epochs",
    "train_size",
)


def config_of(method: str, seed: int, overrides: Sequence[str]) -> RunConfig:
    """The config of one run; a baseline differs in its prompt and learning rate alone."""
    config = load_config(CONFIG, {"seed": seed, **parse_overrides(list(overrides))})
    return config if method == "spt_darts" else baseline_config(config, cast(Baseline, method))


def record_of(method: str, seed: int, outcome: Outcome) -> dict[str, Any]:
    """A run as a record.

    Raises:
        TrialFailed: if it gave no metrics.
    """
    if outcome.metrics is None:
        raise TrialFailed(f"{method} with seed {seed}: {outcome.failure}")
    return {"method": method, "seed": seed, **{key: outcome.metrics[key] for key in KEPT}}


def _recorded() -> list[dict[str, Any]]:
    """The records of an earlier run of this command."""
    path = RESULTS / "main_job.json"
    return list(json.loads(path.read_text(encoding="utf-8"))["records"]) if path.exists() else []


def main() -> None:
    """Run what is missing, two processes at a time, and write benchmarks/results/main_job.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", help="key=value, for all runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", choices=METHODS, nargs="+", default=METHODS, help="the rest is kept")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    jobs = {f"{method}-{seed}": (method, seed) for seed in given.seeds for method in given.methods}
    configs = {name: config_of(*job, given.overrides) for name, job in jobs.items()}
    found = run_grid(configs, Path("runs") / "main_job", given.workers)
    records = [record_of(*jobs[name], outcome) for name, outcome in found.items()]
    records += [r for r in _recorded() if r["method"] not in given.methods]
    records.sort(key=lambda r: (METHODS.index(r["method"]), r["seed"]))
    summary = {
        method: {
            score: mean_and_spread([r[score] for r in records if r["method"] == method])
            for score in ("dev_accuracy", "test_accuracy")
        }
        for method in METHODS
        if any(r["method"] == method for r in records)
    }
    command = " ".join(["python -m benchmarks.main_job", *given.overrides])
    write_result("main_job", command, records, summary=summary)
    print(summary)


if __name__ == "__main__":
    main()
