"""What a training takes in place of the defaults, which are made for many thousands of rows."""

from __future__ import annotations

from collections.abc import Mapping

from spt.spec import HeadConfig
from spt.tasks import Task
from spt.training.config import TrainingConfig

Options = Mapping[str, int]
# (rows of the training split, at most; what suits them)
WITH_CONTRAST: tuple[int, Options] = (200, {"contrastive_steps": 25})
BY_ROWS: tuple[tuple[int, Options], ...] = (
    (400, {"epochs": 20, "patience": 20, "batch_size": 16}),
    (5000, {"batch_size": 16}),
)
KEYS = frozenset(key for _, options in (WITH_CONTRAST, *BY_ROWS) for key in options)


def options_by_rows(config: TrainingConfig, rows: int, head: HeadConfig, task: Task) -> Options:
    """Return the options of a training that suit so many rows, by name; none where its own do.

    Ten epochs over a hundred rows are forty steps of the usual size, and a dev split as small says too little
    to stop by. A training that was told how long has its own.

    Args:
        config: of the training.
        rows: of the training split.
        head: that the training trains.
        task: that it is for.

    Source: ours; the `default` of `python -m benchmarks methods-deep` is trained so.
    """
    if KEYS & config.model_fields_set:
        return {}
    suiting = ((WITH_CONTRAST,) if _suits_contrast(head, task) else ()) + BY_ROWS
    return next((options for most, options in suiting if rows <= most), {})


def suited_to_rows(config: TrainingConfig, rows: int, head: HeadConfig, task: Task) -> TrainingConfig:
    """Return a training with the options that `options_by_rows` gives, for the same arguments."""
    return config.model_copy(update=options_by_rows(config, rows, head, task))


def _suits_contrast(head: HeadConfig, task: Task) -> bool:
    """Say whether contrastive steps are worth a try: one text and one label a row, and a head that trains.

    Of two texts their relation is asked for, which features that are alike do not tell.
    """
    return head.trains and not task.multi_label and not task.paired
