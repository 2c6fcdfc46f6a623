"""Where the trials of a study are, read from its folder alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from experiments.live.lines import where
from experiments.live.run_progress import RunProgress
from experiments.live.screen import progress_console, showing
from experiments.live.trials import TrialRow, TrialsView, queued
from experiments.live.trials import TrialState as ShownState
from experiments.run.listing import STUDY
from experiments.run.lock import is_held
from experiments.tuning.config import TuneConfig, stored_study
from experiments.tuning.searcher import ATTEMPTS, BEGUN, SESSIONS, failure
from experiments.tuning.space import short
from experiments.tuning.trial import METRICS, PROGRESS, RESUMED_AT
from spt.architecture import layers_text
from spt.errors import InputError
from spt.storage.json_files import checked

STATES: Mapping[TrialState, ShownState] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped early",
    TrialState.FAIL: "failed",
    TrialState.WAITING: "queued",
}


class StudyView(TrialsView):
    """Follow the trials of a study by its journal, into which nothing is written.

    Args:
        folder: of the study.
        config: of the study.
        held: whether this process runs the study; None asks the folder's lock at each look.
    """

    def __init__(self, folder: Path, config: TuneConfig, held: bool | None) -> None:
        super().__init__(config.name, map(_name, range(config.trials)))
        self.folder = folder
        self.config = config
        self._held = held
        self.running = True
        self._study: optuna.Study | None = None
        self._seconds_left: float | None = None

    def look(self) -> None:
        """Read the journal's new records."""
        self.running = is_held(self.folder / ".lock") if self._held is None else self._held
        study = self._study or self._opened()
        if study is None:
            return
        self._study = study
        trials, session = study.get_trials(deepcopy=False), study.user_attrs.get(SESSIONS, 0)
        rows = [self._row(study, trial, session) for trial in trials]
        self.rows = [*rows, *(queued(_name(number)) for number in range(len(rows), self.config.trials))]
        self._seconds_left = self._guess(trials)

    def seconds_left(self) -> float | None:
        """Return what was guessed at the last look; None where nobody runs the study."""
        return self._seconds_left if self.running else None

    def _opened(self) -> optuna.Study | None:
        """Open the journal, once there is a study in it."""
        journal = self.folder / "optuna.journal"
        if not journal.is_file():
            return None
        with suppress(KeyError, TypeError, ValueError):
            storage = JournalStorage(JournalFileBackend(str(journal)))
            return optuna.load_study(study_name=self.config.name, storage=storage)
        return None

    def _row(self, study: optuna.Study, trial: FrozenTrial, session: int) -> TrialRow:
        metrics, progress = trial.user_attrs.get(METRICS, {}), _progress(trial)
        state = self._state(trial, session)
        curve = [trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)]
        return TrialRow(
            _name(trial.number),
            state,
            at=where(progress) if progress and state in ("running", "resumed", "stopped") else "",
            dev=metrics.get("dev_metric", curve[-1] if curve else None),
            test=metrics.get("test_metric"),
            layers=layers_text(progress.layers, progress.kinds) if progress and progress.layers else "",
            values={name: short(value) for name, value in trial.params.items()},
            failure=failure(study, trial.number),
        )

    def _state(self, trial: FrozenTrial, session: int) -> ShownState:
        if trial.state != TrialState.RUNNING:
            return STATES[trial.state]
        begun, attempts = trial.user_attrs.get(BEGUN, []), trial.user_attrs.get(ATTEMPTS, [])
        if not self.running:
            return "stopped"
        if session not in begun:
            # of an earlier session, and its turn is yet to come
            return "queued"
        return "resumed" if len(begun) > 1 or (attempts and attempts[-1][RESUMED_AT]) else "running"

    def _guess(self, trials: Sequence[FrozenTrial]) -> float | None:
        """Guess what the trials that have not ended take, from those that have."""
        took = [
            trial.duration.total_seconds()
            for trial in trials
            if trial.duration is not None and len(trial.user_attrs.get(BEGUN, [])) == 1
        ]
        missing = sum(row.state in ("queued", "running", "resumed") for row in self.rows)
        return missing * sum(took) / len(took) / self.config.concurrency if took and missing else None


class StudyLook(StudyView):
    """Look at the study of a folder.

    Raises:
        InputError: if its tune.yml is not what a study wrote.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / STUDY
        try:
            config = TuneConfig.model_validate(stored_study(path))
        except ValidationError as error:
            raise InputError(f"'{path}' is not what this version writes of a study.") from error
        super().__init__(folder, config, held=None)

    @property
    def ended(self) -> bool:
        """Say whether no process runs the study."""
        return not self.running

    @property
    def caption(self) -> str:
        """Return how many trials are in which state, the time left, and whether nobody goes on with them."""
        missing = any(row.state in ("queued", "stopped") for row in self.rows)
        return f"stopped: {super().caption}" if self.ended and missing else super().caption


@contextmanager
def study_shown(folder: Path, config: TuneConfig, wanted: bool) -> Iterator[None]:
    """Show where the trials of a study are, beside the body that runs it.

    Args:
        folder: of the study.
        config: of the study.
        wanted: False shows nothing.
    """
    if not wanted:
        yield
        return
    with showing(StudyView(folder, config, held=True), progress_console(), stays=True):
        yield


def _progress(trial: FrozenTrial) -> RunProgress | None:
    text = trial.user_attrs.get(PROGRESS)
    with suppress(InputError, ValueError):
        return checked(RunProgress, json.loads(text), "the journal", "") if text else None
    return None


def _name(number: int) -> str:
    return f"trial {number}"
