"""One NNI trial: `python -m experiments.trial --config CONFIG`. It runs by hand as well."""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import nni
from nni.runtime.trial_command_channel import ParameterRecord, get_default_trial_command_channel

from experiments.config import RunConfig, load_config
from experiments.console import GOES_ON, exit_code
from experiments.logs import quiet_libraries
from experiments.nested_choices import Parameters, flat
from experiments.nni_trials.channel import use_recorded_parameters
from experiments.nni_trials.concurrency import trials_at_a_time
from experiments.nni_trials.processes import end_with_manager
from experiments.nni_trials.reporter import TrialReporter
from experiments.nni_trials.results import TrialNote, write_experiment_results
from experiments.run.results import RunMetrics
from experiments.run.summary import summary
from spt.architecture import layers_text
from spt.errors import InputError, TrialFailed
from spt.process.cores import share_of_cores
from spt.storage.files import expanded

BY_HAND = "STANDALONE"


def receive_parameters() -> ParameterRecord:
    """Return what NNI's tuner chose for this trial, with its number; nothing when run by hand."""
    if nni.get_trial_id() == BY_HAND:
        return ParameterRecord(parameter_id=None, parameters={})
    if os.environ.get("NNI_PLATFORM") == "local":
        channel = os.environ["NNI_TRIAL_COMMAND_CHANNEL"]
        end_with_manager(channel)
        use_recorded_parameters(channel, nni.get_trial_id())
    record = get_default_trial_command_channel().receive_parameter()
    if record is None:
        raise ConnectionError("NNI's manager has closed the channel of this trial.")
    return record


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


def final_result(metrics: RunMetrics) -> dict[str, float | str]:
    """Return what NNI's web UI shows of a trial, a column each.

    Returns:
        'default', the task's metric on dev, as in the curve; test_metric, unless it is not finite; layers;
        total_flops.

    Raises:
        TrialFailed: the metric on dev is not a finite number.
    """
    if not math.isfinite(metrics.dev_metric):
        raise TrialFailed(f"The metric on dev is {metrics.dev_metric}, which is not a finite number.")
    # JSON has no NaN
    test = {"test_metric": metrics.test_metric} if math.isfinite(metrics.test_metric) else {}
    layers = layers_text(metrics.layers, metrics.kinds, " ")
    return {"default": metrics.dev_metric, **test, "layers": layers, "total_flops": metrics.total_flops}


def run_trial(config: RunConfig, folder: Path, reporter: TrialReporter) -> None:
    """Run one trial in its folder, report it to NNI, and print layers and scores, for its log.

    Raises:
        InputError: for bad input.
        TrialFailed: if the training failed, or the metric on dev is not a finite number.
    """
    # loads NNI's strategies and Lightning, whose warnings are silenced before
    from experiments import pipeline  # noqa: PLC0415

    metrics = pipeline.run(config, folder, reporter.report_epoch)
    reporter.report_result(final_result(metrics))
    for name, value in summary(folder).items():
        print(f"{name}: {value}")


def report_experiment(folder: Path, parameters: Parameters, command: str) -> None:
    """Add a trial that has ended to its experiment's report and best.yml, and say where they are.

    Args:
        folder: of the trial.
        parameters: that NNI's tuner chose for it, choices nested.
        command: that is noted in the results.
    """
    try:
        TrialNote(nni.get_sequence_id(), parameters).write(folder)
        print(write_experiment_results(folder.parent, str(nni.get_experiment_id()), command))
    except InputError as error:
        # the trial itself is done
        print(f"There is no new report of the experiment: {error}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one trial; returns the exit code: 1 for a trial that failed, else as `exit_codes` has them."""
    parser = argparse.ArgumentParser(prog="python -m experiments.trial", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the run's configuration")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run's folder is made")
    options = parser.parse_args(arguments)
    quiet_libraries(quiet=False)
    command = f"{parser.prog} --config {options.config}"
    return exit_code(lambda: run_and_report(options.config, options.runs, command), GOES_ON)


def run_and_report(config_path: Path, runs: Path, command: str) -> int:
    """Run the trial that NNI asks for, and add it to its experiment's report.

    Args:
        config_path: of the run's configuration.
        runs: where the run's folder is made.
        command: that is noted in the results.

    Returns:
        0, or 1 for a trial that failed.

    Raises:
        InputError: for bad input.
    """
    record = receive_parameters()
    parameters = dict(record["parameters"])
    config = with_share_of_cores(load_config(config_path, flat(parameters)))
    folder = trial_folder(expanded(runs), config.name)
    code = 0
    try:
        run_trial(config, folder, TrialReporter(record["parameter_id"]))
    except TrialFailed as error:
        print(f"The trial failed: {error}", file=sys.stderr)
        code = 1
    if nni.get_trial_id() != BY_HAND:
        report_experiment(folder, parameters, command)
    return code


if __name__ == "__main__":
    sys.exit(main())
