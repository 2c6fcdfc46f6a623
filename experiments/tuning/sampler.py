"""A sampler whose draws do not depend on which process makes them: a study that goes on draws the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState


class RepeatableSampler(BaseSampler):
    """Draw by a sampler that begins anew for each trial and parameter.

    What is drawn depends on the seed, the trial's number and the trials before it alone, not on how many
    draws this process made before.

    Args:
        new: makes the sampler, given `seed`.
        seed: of all draws.

    Source: ours.
    """

    def __init__(self, new: Callable[..., BaseSampler], seed: int) -> None:
        self._new = new
        self._seed = seed

    def _for(self, trial: FrozenTrial, parameter: str = "") -> BaseSampler:
        digest = hashlib.blake2b(f"{self._seed} {trial.number} {parameter}".encode(), digest_size=4)
        return self._new(seed=int.from_bytes(digest.digest(), "big"))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._for(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._for(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._for(trial, param_name).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._for(trial).before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._for(trial).after_trial(study, trial, state, values)
