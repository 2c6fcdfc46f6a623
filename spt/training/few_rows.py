"""What a training of few rows takes in place of the defaults, which are made for thousands."""

from __future__ import annotations

from collections.abc import Mapping

from spt.training.config import TrainingConfig

# of the training split
FEW_ROWS = 400
OPTIONS: Mapping[str, int] = {"epochs": 20, "patience": 20, "batch_size": 16}


def few_rows_options(rows: int) -> Mapping[str, int]:
    """Return the options of a `TrainingConfig` that suit so many rows, by name; none where its defaults do.

    Ten epochs over a hundred rows are forty steps of the usual size. A dev split as small says too little to
    stop by.

    Args:
        rows: of the training split.

    Source: ours; the `default` of `python -m benchmarks methods-deep` is trained so where rows are few.
    """
    return OPTIONS if rows <= FEW_ROWS else {}


def for_few_rows(config: TrainingConfig, rows: int) -> TrainingConfig:
    """Return a training that suits so many rows; one that was told how long stays as it is.

    Args:
        config: of the training.
        rows: of the training split.
    """
    options = few_rows_options(rows)
    return config if options.keys() & config.model_fields_set else config.model_copy(update=options)
