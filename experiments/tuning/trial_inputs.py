"""What the trials of a study ran on, which must not change: scores on other data cannot be compared."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.trial import FrozenTrial
from pyarrow.fs import FileType
from ray import tune

from experiments.run.folder import RunFolder
from experiments.run.inputs import RunInputs, check_unchanged
from experiments.tuning.config import TuneConfig
from experiments.tuning.searcher import CHECKPOINT


def check_trial_inputs(config: TuneConfig, study: optuna.Study, folder: Path) -> None:
    """Refuse to go on with a study whose data files or local backbones are others now.

    Args:
        config: of the study.
        study: whose trials noted what they ran on, each in its run's folder.
        folder: of the study.

    Raises:
        InputError: naming what differs, with both values.
    """
    for trial in study.get_trials(deepcopy=False):
        if (began_with := _inputs(trial)) is not None:
            check_unchanged(config.trial_run(trial.params), began_with, f"study in '{folder}'")


def _inputs(trial: FrozenTrial) -> RunInputs | None:
    """Read what a trial ran on from its last checkpoint; None where it noted nothing, or that is gone."""
    if (path := trial.user_attrs.get(CHECKPOINT)) is None:
        return None
    checkpoint = tune.Checkpoint(path)
    inputs = f"{checkpoint.path}/{RunFolder(Path()).inputs.name}"
    if checkpoint.filesystem.get_file_info(inputs).type != FileType.File:
        return None
    with checkpoint.filesystem.open_input_stream(inputs) as stream:
        return RunInputs.parse(stream.read(), inputs)
