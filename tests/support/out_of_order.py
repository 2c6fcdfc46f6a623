"""An engine with workers, in one process, whose candidates end in any order."""

from __future__ import annotations

import random
from contextlib import suppress

from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import ExecutableModelSpace

from spt.errors import TrialFailed


class OutOfOrder(SequentialExecutionEngine):  # type: ignore[misc]
    """Lets submitted candidates wait, and runs one of them at random as time passes.

    Args:
        workers: candidates at a time.
        seed: of the order in which they end.
    """

    def __init__(self, workers: int, seed: int) -> None:
        super().__init__()
        self.workers = workers
        self.waiting: list[ExecutableModelSpace] = []
        self.random = random.Random(seed)

    def submit_models(self, *models: ExecutableModelSpace) -> None:
        """Give models to workers."""
        self.waiting += models

    def idle_worker_available(self) -> bool:
        """Say whether a worker is free; now and then one becomes so."""
        if self.random.random() < 0.5:
            self.end_one()
        return len(self.waiting) < self.workers

    def end_one(self, _seconds: float = 0.0) -> None:
        """Run a candidate to its end; stands in for `time.sleep`."""
        if self.waiting:
            model = self.waiting.pop(self.random.randrange(len(self.waiting)))
            with suppress(TrialFailed):
                super().submit_models(model)
