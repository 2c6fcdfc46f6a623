"""What Ray Tune tells as a study runs: for its searcher, and for the TensorBoard logs of its trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import tune as ray_tune
from ray.tune.logger import TBXLoggerCallback

from experiments.console import end_if_asked
from experiments.tuning.searcher import SafeOptunaSearch


class Notes(ray_tune.Callback):  # type: ignore[misc]
    """Tells a study's searcher what Tune does not: checkpoints, and what the machine failed at."""

    def __init__(self, search: SafeOptunaSearch, storage: str) -> None:
        self.search = search
        self.storage = storage

    def on_step_begin(self, iteration: int, trials: Any, **info: Any) -> None:
        """End the study where Ray took the word to end for nothing."""
        end_if_asked()

    def on_checkpoint(self, iteration: int, trials: Any, trial: Any, checkpoint: Any, **info: Any) -> None:
        """Note a trial's checkpoint by its last three folders: session, trial and checkpoint."""
        path = "/".join([self.storage, *Path(checkpoint.path).parts[-3:]])
        self.search.note_checkpoint(trial.trial_id, path)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Note the last of the errors that a trial was given up for."""
        lines = str(trial.get_error() or "its worker died").strip().splitlines()
        self.search.note_fault(trial.config["number"], lines[-1])


class TrialLogs(TBXLoggerCallback):  # type: ignore[misc]
    """Writes TensorBoard logs of trials as Tune itself does, and ends them with a study that is stopped.

    Tune leaves them open then, and their threads print a traceback each.
    """

    def close(self) -> None:
        """End the logs of the trials that have not ended."""
        for trial in list(self._trial_writer):
            self.log_trial_end(trial)
