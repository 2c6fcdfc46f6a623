"""What a training reports of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingResult:
    """Hold the outcome of a training, and what it took.

    Attributes:
        dev: best score of the dev split, in the task's metric.
        epochs: passes over the training split.
        steps: of the optimiser.
        seconds: of training, dev scores included.
        flops: floating-point operations, dev scores included.
        best_epoch: epochs until the best dev score; None in older files.
    """

    dev: float
    epochs: int
    steps: int
    seconds: float
    flops: int
    best_epoch: int | None = None
