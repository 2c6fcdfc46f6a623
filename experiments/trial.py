"""One NNI trial: `python -m experiments.trial --config CONFIG`. It runs by hand as well."""

import argparse
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nni

from experiments import pipeline
from experiments.comparing.experiment_file import flat
from experiments.config import RunConfig, load_config
from experiments.nni_trials.channel import use_recorded_parameters
from experiments.nni_trials.concurrency import trials_at_a_time
from experiments.nni_trials.processes import end_with_manager
from spt.cores import share_of_cores
from spt.errors import InputError, TrialFailed

BY_HAND = "STANDALONE"


def parameters() -> dict[str, Any]:
    """Return what NNI's tuner chose for this trial, as dotted overrides; nothing when run by hand."""
    if nni.get_trial_id() == BY_HAND:
        return {}
    if os.environ.get("NNI_PLATFORM") == "local":
        channel = os.environ["NNI_TRIAL_COMMAND_CHANNEL"]
        end_with_manager(channel)
        use_recorded_parameters(channel, nni.get_trial_id())
    return flat(nni.get_next_parameter())


def with_share_of_cores(config: RunConfig) -> RunConfig:
    """Give a trial that leaves `threads` open its part of the cores, where others run beside it."""
    if config.threads or os.environ.get("NNI_PLATFORM") != "local":
        return config
    trials = trials_at_a_time(os.environ["NNI_TRIAL_COMMAND_CHANNEL"])
    return config.model_copy(update={"threads": share_of_cores(trials)})


def trial_folder(runs: Path, name: str) -> Path:
    """Return RUNS/EXPERIMENT/TRIAL inside NNI, RUNS/NAME by hand."""
    if nni.get_trial_id() == BY_HAND:
        return runs / name
    return runs / str(nni.get_experiment_id()) / str(nni.get_trial_id())


def report_epoch(stage: str, epoch: int, dev_metric: float) -> None:  # noqa: ARG001
    """Report the task's metric on dev after each epoch of the retraining: the curve in NNI's web UI."""
    if stage == "train":
        nni.report_intermediate_result(dev_metric)


def final_result(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among the metrics; 'default' is the task's metric on dev, as in the curve.

    Raises:
        TrialFailed: the metric is not a finite number.
    """
    numbers = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    if "dev_metric" not in numbers:
        raise TrialFailed(f"The metric on dev is {metrics.get('dev_metric')}, which is not a finite number.")
    return {"default": numbers["dev_metric"], **numbers}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one trial; returns the exit code: 1 for a trial that failed, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m experiments.trial", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the run's configuration")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run's folder is made")
    options = parser.parse_args(arguments)
    try:
        config = with_share_of_cores(load_config(options.config, parameters()))
        metrics = pipeline.run(config, trial_folder(options.runs, config.name), report_epoch)
        nni.report_final_result(final_result(metrics.as_json()))
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except TrialFailed as error:
        print(f"The trial failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
