"""What a method gives within a budget of operations."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from spt.errors import TrialFailed


class OverBudget(TrialFailed):
    """Says that not even the least of a method fits into a budget."""


@dataclass(frozen=True)
class Figures:
    """Hold scores and costs of a run within a budget.

    Attributes:
        tunable_parameters: of prompts or what else is trained, and of the head.
        train_flops: operations of search, training and dev scores together.
        seconds: of the processor, likewise.
        shortened: whether a larger budget would make it longer.
        epochs: that were trained; None for what has none.
        steps: of the optimiser, likewise.
        layers: that have a prompt, likewise.
        kinds: what each of the layers gets, where that was chosen too.
        versions: of what it was made with beside this project's libraries.
    """

    dev_accuracy: float
    test_accuracy: float
    tunable_parameters: int
    train_flops: int
    seconds: float
    shortened: bool = False
    epochs: int | None = None
    steps: int | None = None
    layers: tuple[int, ...] | None = None
    kinds: tuple[str, ...] | None = None
    versions: Mapping[str, str] | None = None


class ProcessorClock:
    """Add up the processor's seconds of this process in the parts that are measured.

    Other processes on the machine matter little to them.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure a part."""
        start = time.process_time()
        yield
        self.seconds += time.process_time() - start


def check_spent(flops: float, budget: float) -> None:
    """Refuse figures of what has taken more than its budget.

    Raises:
        OverBudget: saying how much.
    """
    if flops > budget:
        raise OverBudget(f"It took {flops / 1e12:.4g} * 10^12 operations.")
