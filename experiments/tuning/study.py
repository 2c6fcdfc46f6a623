"""The Optuna study behind nnictl and Ray Tune alike: the same samplers, settings and journal for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection

from experiments.tuning.journal import open_journal
from experiments.tuning.sampler import RepeatableSampler
from spt.errors import InputError, unknown

SAMPLERS: Mapping[str, Callable[..., BaseSampler]] = {
    "cmaes": CmaEsSampler,
    "gp": GPSampler,
    "random": RandomSampler,
    "tpe": TPESampler,
}


def make_sampler(name: str, seed: int | None) -> BaseSampler:
    """Make a sampler, which draws the same in a study that goes on; `seed` None draws differently each time.

    Raises:
        InputError: the name is unknown, or the sampler's package is missing.
    """
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    if name == "cmaes" and find_spec("cmaes") is None:
        raise InputError("Sampler 'cmaes' needs the package cmaes. Install it with `pip install cmaes`.")
    return SAMPLERS[name]() if seed is None else RepeatableSampler(SAMPLERS[name], seed)


def open_study(
    name: str, directions: Sequence[str], sampler: str, seed: int | None, journal: Path | None
) -> optuna.Study:
    """Open the study in a journal file, or make it there; in memory without a file.

    Args:
        name: of the study in the journal.
        directions: 'maximize' or 'minimize', one an objective.
        sampler: one of SAMPLERS.
        seed: of the sampler.
        journal: the file, which no other process uses.

    Raises:
        InputError: the sampler cannot be used, the journal is damaged, or the study in it goes another way.
    """
    storage = open_journal(journal) if journal else InMemoryStorage()
    wanted = [StudyDirection[direction.upper()] for direction in directions]
    study = optuna.create_study(study_name=name, storage=storage, directions=wanted, load_if_exists=True)
    if study.directions != wanted:
        there = [direction.name.lower() for direction in study.directions]
        raise InputError(
            f"The study '{name}' in {journal} is there to {' and '.join(there)}, not to "
            f"{' and '.join(directions)}. Choose another study_name or journal."
        )
    study.sampler = make_sampler(sampler, seed)
    return study


def check_compatible(study: optuna.Study, wanted: Mapping[str, BaseDistribution]) -> None:
    """Check that a study takes distributions: Optuna allows it other ranges, but no other choices or kinds.

    Raises:
        InputError: a parameter has trials of another kind.
    """
    for trial in study.get_trials(deepcopy=False):
        for name in wanted.keys() & trial.distributions.keys():
            try:
                check_distribution_compatibility(trial.distributions[name], wanted[name])
            except ValueError as error:
                raise InputError(
                    f"{name}: the study '{study.study_name}' holds trials of another kind ({error}). "
                    "Rename the parameter, or choose another study_name."
                ) from error
