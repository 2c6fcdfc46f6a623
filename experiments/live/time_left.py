"""How long a run will still take, from what an epoch takes: a guess, for early stops may make it less."""

from __future__ import annotations

from experiments.config import RunConfig
from spt.training.progress import TrainingProgress
from strategies.options import MultiTrialOptions, OneShotOptions


def run_seconds_left(
    config: RunConfig, stage: str, tried: int, training: TrainingProgress | None, side_by_side: int
) -> float | None:
    """Guess the seconds that a run's search and training will take from now on.

    An epoch of a stage that has not begun is taken to last as long as one of the stage under way.

    Args:
        config: of the run.
        stage: search, or the training that follows it.
        tried: candidates that the search is done with.
        training: that is under way; None where none is.
        side_by_side: trainings that go on at the same time.

    Source: ours.
    """
    if training is None or training.seconds_a_pass is None:
        return None
    options, folds = config.search, config.data.folds or 1
    epochs = training.epochs - training.passes
    if stage == "search":
        if isinstance(options, MultiTrialOptions):
            others = max(0, options.evaluations - tried - side_by_side) * config.training.epochs * folds
            epochs += others / max(1, side_by_side)
        # the best candidate's training is the run's, but for folds
        if isinstance(options, OneShotOptions) or config.data.folds:
            epochs += config.training.epochs * folds
    return epochs * training.seconds_a_pass


def candidate_epochs(config: RunConfig) -> int:
    """Return the most epochs of one training of the search: of its hyper-network, or of a candidate."""
    search = config.search
    return search.epochs if isinstance(search, OneShotOptions) else config.training.epochs


def duration(seconds: float) -> str:
    """Write a time with its two largest units: 7300 -> '2 h 2 min'."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 10:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours == 0:
        return f"{minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min"
