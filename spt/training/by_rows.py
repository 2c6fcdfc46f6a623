"""What a training takes in place of the defaults, which are made for many thousands of rows."""

from __future__ import annotations

from collections.abc import Mapping

from spt.training.config import TrainingConfig

Options = Mapping[str, int]
# (rows of the training split, at most; what suits them)
WITH_CONTRAST: tuple[int, Options] = (200, {"contrastive_steps": 25})
BY_ROWS: tuple[tuple[int, Options], ...] = (
    (400, {"epochs": 20, "patience": 20, "batch_size": 16}),
    (5000, {"batch_size": 16}),
)
KEYS = frozenset(key for _, options in (WITH_CONTRAST, *BY_ROWS) for key in options)


def options_by_rows(rows: int, contrastive: bool) -> Options:
    """Return the options of a `TrainingConfig` that suit so many rows, by name; none where its defaults do.

    Ten epochs over a hundred rows are forty steps of the usual size, and a dev split as small says too little
    to stop by.

    Args:
        rows: of the training split.
        contrastive: whether the task `suits_contrast`.

    Source: ours; the `default` of `python -m benchmarks methods-deep` is trained so.
    """
    suiting = ((WITH_CONTRAST,) if contrastive else ()) + BY_ROWS
    return next((options for most, options in suiting if rows <= most), {})


def suited_to_rows(config: TrainingConfig, rows: int, contrastive: bool) -> TrainingConfig:
    """Return a training that suits so many rows; one that was told how long stays as it is.

    Args:
        config: of the training.
        rows: of the training split.
        contrastive: as `options_by_rows` has it.
    """
    told = KEYS & config.model_fields_set
    return config if told else config.model_copy(update=options_by_rows(rows, contrastive))
