"""One trial of a tuning study, in a Ray worker: an SPT run that reports and saves each epoch."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from pyarrow.fs import FileType
from ray import tune

from experiments import pipeline
from experiments.cluster.shared import SharedWorkbench
from experiments.config import RunConfig
from experiments.live.run_progress import read_run
from experiments.run.folder import HISTORY
from experiments.run.training import OnStageEpoch
from experiments.tuning.config import TuneConfig
from spt.errors import InputError, TrialFailed

# runs to the end: config, folder, who is told each epoch, what all trials share -> metrics
Runner = Callable[[RunConfig, Path, OnStageEpoch, SharedWorkbench | None], Mapping[str, Any]]
# keys of a report
DEV, EPOCH, FINAL, FAILURE, METRICS = "dev", "epoch", "final", "failure", "metrics"
# where the run is, as JSON; what its loss is, and its gates
PROGRESS, LOSS, GATES = "progress", "loss", "gates"
NODE, PID, RESUMED_AT = "node", "pid", "resumed_at"
# among the metrics: wall time of the attempt that ended the trial
ATTEMPT_SECONDS = "attempt_seconds"


def run_trial(
    config: RunConfig, folder: Path, on_epoch: OnStageEpoch, shared: SharedWorkbench | None
) -> Mapping[str, Any]:
    """Run a trial's configuration, over the shared workbench where it is of the same data and backbone."""
    serves = shared is not None and shared.serves(config)
    workbench = shared.open(config) if shared and serves else None
    return pipeline.run(config, folder, on_epoch, workbench).as_json()


def trial(
    config: Mapping[str, Any], tuning: TuneConfig, run: Runner, shared: SharedWorkbench | None, home: str
) -> None:
    """Run one trial to its end, from its last checkpoint where there is one.

    Every epoch is reported with the run's folder as the checkpoint. The last report is final, and
    has either the metrics or the reason why there are none: a training that failed would fail again.

    Args:
        config: `parameters`, dotted key -> value, and `checkpoint`, a folder in the study's storage or None,
            as the searcher suggests them.
        tuning: the study's configuration.
        run: what runs.
        shared: the workbench that trials of the same data and backbone share.
        home: the driver's working folder, where relative paths of the configuration begin.
    """
    if not tuning.resources.gpus:
        # Ray hides GPUs only from those who ask for some
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if Path(home).is_dir():
        os.chdir(home)
    folder = Path(tempfile.mkdtemp(prefix="spt-trial-"))
    reporter = Reporter(folder, _restore(folder, config["checkpoint"]))
    try:
        chosen = tuning.trial_run(config["parameters"])
        # Tune itself writes TensorBoard's log of a trial, and each checkpoint is a copy of the run's folder
        others = tuple(name for name in chosen.loggers if name != "tensorboard")
        chosen = chosen.model_copy(update={"loggers": others})
        reporter.finish(run(chosen, folder, reporter.on_epoch, shared))
    except (InputError, TrialFailed) as error:
        reporter.fail(str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Reporter:
    """Reports to Tune what a run reports, and saves the run's folder each time.

    Args:
        folder: of the run.
        resumed_at: epochs, of search and retraining, that this attempt need not repeat.
    """

    def __init__(self, folder: Path, resumed_at: int) -> None:
        self.folder = folder
        self.epoch = 0
        self.dev = math.nan
        self.began = time.monotonic()
        node = ray.get_runtime_context().get_node_id()
        self.about = {NODE: node, PID: os.getpid(), RESUMED_AT: resumed_at}

    def on_epoch(self, stage: str, epoch: int, dev: float) -> None:
        """Report an epoch; those of the retraining are numbered from 1 and make the dev curve."""
        if stage == "train":
            self.epoch, self.dev = epoch + 1, dev
        self._report(self._progress())

    def _progress(self) -> dict[str, Any]:
        """Return where the run is: for who looks at the study, and numbers for Tune's TensorBoard log."""
        progress = read_run(self.folder)
        if progress is None:
            return {}
        numbers = {LOSS: progress.ended_loss, GATES: progress.gates}
        return {
            PROGRESS: json.dumps(asdict(progress)),
            **{name: value for name, value in numbers.items() if value},
        }

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Report all numbers among the metrics, and the seconds of this attempt, for the last time."""
        self.epoch = metrics.get("train_epochs", self.epoch)
        numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        seconds = time.monotonic() - self.began
        self._report({METRICS: {**numbers, ATTEMPT_SECONDS: seconds}, FINAL: True})

    def fail(self, reason: str) -> None:
        """Report for the last time, of a run that cannot give numbers."""
        self._report({FAILURE: reason, FINAL: True})

    def _report(self, values: Mapping[str, Any]) -> None:
        report = {EPOCH: self.epoch, DEV: self.dev, FINAL: False, **self.about, **values}
        tune.report(report, checkpoint=tune.Checkpoint.from_directory(self.folder))


def _restore(folder: Path, earlier: str | None) -> int:
    """Fill the run's folder from the last checkpoint; returns the epochs that need not be repeated.

    Tune's own checkpoint is of this session; `earlier` is one of a session before, whose driver was killed.
    """
    checkpoint = tune.get_checkpoint() or (tune.Checkpoint(earlier) if earlier else None)
    if checkpoint is None or not _exists(checkpoint):
        return 0
    checkpoint.to_directory(folder)
    return sum(_done_epochs(folder / stage) for stage in ("search", "train"))


def _exists(checkpoint: tune.Checkpoint) -> bool:
    """Tell whether a checkpoint is there; a journal that lost its end may name one that is gone."""
    return bool(checkpoint.filesystem.get_file_info(checkpoint.path).type != FileType.NotFound)


def _done_epochs(stage: Path) -> int:
    """Count a stage's epochs that are not repeated: the last one of an unfinished stage may not be saved."""
    history = stage / HISTORY
    epochs = len(history.read_text(encoding="utf-8").splitlines()) if history.exists() else 0
    return epochs if (stage / f"{stage.name}.json").exists() else max(0, epochs - 1)
