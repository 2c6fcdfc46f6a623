"""ASHA that remembers the dev curves of earlier sessions of a study."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import optuna
from ray.tune.schedulers import ASHAScheduler

from experiments.config import RunConfig
from experiments.tuning.config import Asha, TuneConfig
from experiments.tuning.trial import DEV, EPOCH

# trials end by themselves, with a final report after their last epoch
NEVER = 2**31


class ResumableAsha(ASHAScheduler):  # type: ignore[misc]
    """Asynchronous successive halving on the dev score of the retraining's epochs.

    Args:
        config: of the study, with asha's grace period and reduction factor.
        study: whose trials' curves count, also those of earlier sessions.

    Source: arXiv 1810.05934, in Ray's implementation; taking up a study again is ours.
    """

    def __init__(self, config: TuneConfig, study: optuna.Study) -> None:
        options = config.asha or Asha()
        super().__init__(
            time_attr=EPOCH,
            metric=DEV,
            mode="max",
            max_t=NEVER,
            grace_period=options.grace_epochs,
            reduction_factor=options.reduction_factor,
        )
        self._config = config
        self._curves = {
            trial.number: dict(trial.intermediate_values) for trial in study.get_trials(deepcopy=False)
        }
        ended = [trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
        for number in ended:
            stand_in = SimpleNamespace(
                trial_id=f"earlier {number}", config={"number": number, "parameters": {}}
            )
            self.on_trial_add(None, stand_in)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Take up the epochs that a trial had in an earlier session."""
        super().on_trial_add(tune_controller, trial)
        for epoch, dev in sorted(self._curves.get(trial.config["number"], {}).items()):
            super().on_trial_result(tune_controller, trial, {EPOCH: epoch, DEV: dev})

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Let a trial end that has had its last epoch: stopping it would save nothing."""
        decision: str = super().on_trial_result(tune_controller, trial, result)
        if decision != self.STOP:
            return decision
        last = _last_report(self._config.trial_run(trial.config["parameters"]))
        return self.CONTINUE if result[EPOCH] >= last else decision


def _last_report(run: RunConfig) -> int:
    """Return the number of a run's last epoch, or of what it reports as such: a fold, or all steps."""
    if run.data.folds is not None:
        return run.data.folds
    return 1 if run.training.contrastive_steps else run.training.epochs
