"""An NNI tuner that asks Optuna for every trial and tells it every result; a resumed experiment goes on."""

import functools
import logging
import math
import os
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from nni.tuner import Tuner
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from experiments.nni_trials.processes import end_with_manager
from experiments.tuning.space import distributions
from experiments.tuning.study import check_compatible, open_study
from spt.errors import InputError, unknown

# below "nni", so that it lands in the experiment's dispatcher.log
logger = logging.getLogger(f"nni.{__name__}")

DIRECTIONS = ("maximize", "minimize")
# NNI may deliver a trial's metric after the trial's end
LATE_SECONDS = 30.0
JOB = "trial_job_id"


def objective(value: Any) -> float | None:
    """Return the finite number in a final result (a number, or a dict with 'default'), or None."""
    if isinstance(value, Mapping):
        value = value.get("default")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _ends_on_error(callback: Callable[..., Any]) -> Callable[..., Any]:
    """End NNI's tuner process on an error: the experiment then ends as ERROR; it would else run for ever."""

    @functools.wraps(callback)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return callback(*args, **kwargs)
        except Exception:
            if os.environ.get("SDK_PROCESS") != "dispatcher":
                raise
            logger.exception("The tuner cannot go on.")
            traceback.print_exc()
            os._exit(1)

    return guarded


class OptunaTuner(Tuner):  # type: ignore[misc]
    """Optuna as an NNI tuner.

    The study is a journal file. On `nnictl resume` it is read again: finished trials count once, trials that
    were running are told as failed. A failed trial, or one without a finite final result, is told as failed
    too. One experiment at a time may use a study.

    Args:
        optimize_mode: 'maximize' or 'minimize' the final result.
        sampler: 'tpe', 'random', 'gp' or 'cmaes'.
        seed: of the sampler; None draws differently each time.
        study_name: name of the study in the journal.
        journal: the journal file; by default `optuna.journal` in the experiment's log folder, and outside NNI
            a study in memory.

    Raises:
        InputError: an argument is not allowed, or the study in the journal goes the other way.
    """

    def __init__(
        self,
        optimize_mode: str = "maximize",
        sampler: str = "tpe",
        seed: int | None = None,
        study_name: str = "nni",
        journal: str | None = None,
    ) -> None:
        super().__init__()
        if "NNI_TUNER_COMMAND_CHANNEL" in os.environ:
            end_with_manager(os.environ["NNI_TUNER_COMMAND_CHANNEL"])
        if optimize_mode not in DIRECTIONS:
            raise unknown("optimize_mode", optimize_mode, DIRECTIONS)
        self._study = open_study(study_name, [optimize_mode], sampler, seed, _journal(journal))
        self._fail_running()
        self._distributions: dict[str, BaseDistribution] = {}
        self._running: dict[int, optuna.Trial] = {}
        self._failed: dict[int, optuna.Trial] = {}
        self._late: dict[int, float] = {}
        # NNI calls trial_end from another thread than the rest
        self._lock = threading.RLock()

    @property
    def study(self) -> optuna.Study:
        """Return the study, to look at."""
        return self._study

    @_ends_on_error
    def update_search_space(self, search_space: Mapping[str, Any]) -> None:
        """Use a search space; one that comes later and does not fit is refused, and the earlier one stays.

        Raises:
            InputError: the first search space cannot be used.
        """
        with self._lock:
            try:
                wanted = distributions(search_space)
                check_compatible(self._study, wanted)
            except InputError:
                if not self._distributions:
                    raise
                logger.exception("Kept the search space as it was.")
                return
            self._distributions = wanted

    @_ends_on_error
    def generate_parameters(self, parameter_id: int, **_kwargs: Any) -> dict[str, Any]:
        """Ask Optuna for one trial's parameters."""
        with self._lock:
            self._fail_late()
            trial = self._study.ask(self._distributions)
            self._running[parameter_id] = trial
            return {name: trial.params[name] for name in self._distributions}

    @_ends_on_error
    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any) -> None:
        """Tell Optuna a trial's final result."""
        with self._lock:
            self._finish(parameter_id, objective(value), kwargs.get("trial_job_id"))

    @_ends_on_error
    def trial_end(self, parameter_id: int, success: bool, **_kwargs: Any) -> None:
        """Tell Optuna of a trial that failed or was stopped; a successful one has or gets a result."""
        with self._lock:
            if not success:
                self._finish(parameter_id, None)
            elif parameter_id in self._running:
                self._late[parameter_id] = time.monotonic() + LATE_SECONDS

    @_ends_on_error
    def import_data(self, data: list[dict[str, Any]]) -> None:
        """Add finished trials, as NNI repeats them on resume, except those that the study has."""
        with self._lock:
            finished = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            jobs = {trial.user_attrs.get(JOB) for trial in finished} - {None}
            nameless = Counter(_identity(t.params, t.value) for t in finished if JOB not in t.user_attrs)
            for record in data:
                job = record.get("trialJobId")
                if job in jobs:
                    continue
                try:
                    trial = self._finished(record.get("parameter"), objective(record.get("value")), job)
                except (TypeError, ValueError) as error:
                    logger.warning("Did not import %s: %s", record, error)
                    continue
                identity = _identity(trial.params, trial.value)
                if nameless[identity]:
                    nameless[identity] -= 1
                else:
                    self._study.add_trial(trial)

    def _on_exit(self) -> None:
        """Tell what still runs as failed: NNI may have asked for more trials than it ran."""
        self._fail_running()

    def _fail_running(self) -> None:
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)

    def _finish(self, parameter_id: int, value: float | None, job: str | None = None) -> None:
        self._late.pop(parameter_id, None)
        if trial := self._running.pop(parameter_id, None):
            if job:
                trial.set_user_attr(JOB, job)
            self._study.tell(trial, value, state=TrialState.FAIL if value is None else TrialState.COMPLETE)
            if value is None:
                self._failed[parameter_id] = trial
        elif value is not None and parameter_id in self._failed:
            # NNI 3.0 can name the wrong trial as ended when several start at once
            self._study.add_trial(self._finished(self._failed.pop(parameter_id).params, value, job))

    def _finished(self, parameters: Any, value: float | None, job: str | None) -> FrozenTrial:
        return optuna.create_trial(
            params=parameters,
            distributions=self._distributions,
            value=value,
            user_attrs={JOB: job} if job else {},
        )

    def _fail_late(self) -> None:
        now = time.monotonic()
        for parameter_id in [late for late, until in self._late.items() if until <= now]:
            self._finish(parameter_id, None)


def _journal(file: str | None) -> Path | None:
    folder = os.environ.get("NNI_LOG_DIRECTORY")
    return Path(file) if file else Path(folder, "optuna.journal") if folder else None


def _identity(parameters: Mapping[str, Any], value: float | None) -> tuple[Any, ...]:
    return (*sorted(parameters.items()), value)
