"""Tune's OptunaSearch, made safe: the journal of the study is the truth, and every trial ends in it once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState
from ray.tune.search.optuna import OptunaSearch

from experiments.tuning.trial import DEV, EPOCH, FAILURE, FINAL, METRICS, NODE, PID, PROGRESS, RESUMED_AT

CHECKPOINT = "checkpoint"
ATTEMPTS = "attempts"
# of the study: how many sessions it has had; of a trial: the sessions that began it or went on with it
SESSIONS, BEGUN = "sessions", "begun"


class SafeOptunaSearch(OptunaSearch):  # type: ignore[misc]
    """Suggests a study's trials until there are enough of them, those that a killed driver left first.

    What Optuna is told: COMPLETE with the objectives of a final report; FAIL where that says why there are
    none, or one of them is not a finite number; PRUNED for a trial that was stopped before its final report.
    OptunaSearch itself leaves the second kind running for ever, and tells the third as complete. Of a trial
    that the machine failed nothing is told: no other one is begun after it, and a later session goes on with
    it.

    Args:
        study: with its sampler; in a journal, so that a later session goes on with it.
        space: name -> distribution.
        objectives: names in the final report, in the order of the study's directions.
        trials: how many the study is to have in all.

    Attributes:
        fault: what the machine failed at; None if it did not.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Mapping[str, BaseDistribution],
        objectives: Sequence[str],
        trials: int,
    ) -> None:
        # without a space, the parent makes no study of its own
        super().__init__(metric=list(objectives), mode=["max"] * len(objectives))
        self._space = dict(space)
        self._ot_study = study
        self.trials = trials
        self.fault: str | None = None
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        self._left = deque(optuna.Trial(study, trial._trial_id) for trial in running)

    def set_search_properties(self, metric: Any, mode: Any, config: dict[str, Any], **spec: Any) -> bool:
        """Refuse what Tune would set: the study has it already."""
        return metric is None and mode is None

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Suggest a trial: its Optuna number, its parameters, and where an earlier session's run of it is."""
        if self.fault is not None:
            return str(self.FINISHED)
        if self._left:
            trial = self._left.popleft()
            for name, distribution in self._space.items():
                # one that was drawn before its session was killed stays as it is
                trial._suggest(name, distribution)
        elif len(self._ot_study.get_trials(deepcopy=False)) < self.trials:
            trial = self._ot_study.ask(self._space)
        else:
            return str(self.FINISHED)
        self._ot_trials[trial_id] = trial
        session = self._ot_study.user_attrs.get(SESSIONS, 0)
        trial.set_user_attr(BEGUN, [*trial.user_attrs.get(BEGUN, []), session])
        checkpoint = trial.user_attrs.get(CHECKPOINT)
        return {"number": trial.number, "parameters": dict(trial.params), "checkpoint": checkpoint}

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Keep the dev curve, and where an attempt began and from which epoch."""
        trial = self._ot_trials[trial_id]
        attempt = {key: result[key] for key in (NODE, PID, RESUMED_AT)}
        attempts = trial.user_attrs.get(ATTEMPTS, [])
        if attempt not in attempts:
            trial.set_user_attr(ATTEMPTS, [*attempts, attempt])
        if result.get(PROGRESS):
            trial.set_user_attr(PROGRESS, result[PROGRESS])
        # several objectives have no curve in Optuna's terms; an epoch that was repeated gave the same
        single = len(self._ot_study.directions) == 1
        seen = self._ot_study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if single and not result[FINAL] and result[EPOCH] > 0 and result[EPOCH] not in seen:
            trial.report(result[DEV], result[EPOCH])

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how a trial ended, once; not if the machine failed it."""
        if error:
            self.fault = self.fault or "a trial's worker died"
            return
        if trial_id in self._completed_trials or trial_id not in self._ot_trials:
            return
        self._completed_trials.add(trial_id)
        trial = self._ot_trials[trial_id]
        if result:
            # Tune tells the result that stops a trial only here
            self.on_trial_result(trial_id, result)
        if not result or not result[FINAL]:
            self._ot_study.tell(trial, state=TrialState.PRUNED)
        else:
            self._tell_final(trial, result)

    def _tell_final(self, trial: optuna.Trial, result: Mapping[str, Any]) -> None:
        # Tune flattens what is nested
        metrics = {k.removeprefix(f"{METRICS}/"): v for k, v in result.items() if k.startswith(f"{METRICS}/")}
        numbers = {name: value for name, value in metrics.items() if math.isfinite(value)}
        trial.set_user_attr(METRICS, numbers)
        missing = [name for name in self.metric if name not in numbers]
        if not missing:
            self._ot_study.tell(trial, [numbers[name] for name in self.metric])
            return
        reason = result.get(FAILURE) or f"{', '.join(missing)}: not a finite number"
        note_failure(self._ot_study, trial.number, reason)
        self._ot_study.tell(trial, state=TrialState.FAIL)

    def note_fault(self, number: int, reason: str) -> None:
        """Remember what a trial was given up for."""
        self.fault = f"trial {number} ended with {reason}"

    def note_checkpoint(self, trial_id: str, path: str) -> None:
        """Remember where a trial's run is saved."""
        self._ot_trials[trial_id].set_user_attr(CHECKPOINT, path)

    def save(self, checkpoint_path: str) -> None:
        """Write the file that Tune wants; the journal has all that is worth saving."""
        Path(checkpoint_path).write_text("The study is in its journal.\n", encoding="utf-8")


def note_failure(study: optuna.Study, number: int, reason: str) -> None:
    """Remember why a trial failed; with the study, because an ended trial takes no more notes."""
    study.set_user_attr(f"failure of trial {number}", reason)


def failure(study: optuna.Study, number: int) -> str | None:
    """Say why a trial failed; None for one that did not."""
    reason = study.user_attrs.get(f"failure of trial {number}")
    return None if reason is None else str(reason)
