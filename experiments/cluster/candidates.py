"""The candidates of a search, trained side by side on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from experiments.cluster.connect import check_feasible, cluster
from experiments.cluster.shared import SharedRun, share
from experiments.config import RunConfig
from spt.architecture import PromptLayers
from spt.training.result import TrainingResult
from strategies.ray_engine import RayEngine

if TYPE_CHECKING:
    from experiments.pipeline import Run


@dataclass(frozen=True)
class SharedScore:
    """Trains a candidate in a worker, over the backbone and the rows in Ray's object store.

    Args:
        config: of the run.
        folder: of the run, which all nodes reach.
        assets: reference of the run's SharedAssets.
    """

    config: RunConfig
    folder: Path
    assets: Any

    def __call__(self, layers: PromptLayers) -> TrainingResult:
        """Train in the candidate's folder, or go on there."""
        return SharedRun(self.config, self.folder, None, ray.get(self.assets)).score(layers)


@contextmanager
def ray_candidates(run: Run) -> Iterator[tuple[RayEngine, SharedScore]]:
    """An engine on the cluster of RAY_ADDRESS, or of this machine, and what scores candidates there.

    Raises:
        InputError: the cluster cannot be used, or no node has what a candidate asks for.
    """
    options = run.config.search.engine
    with cluster():
        check_feasible(options.cpus, options.gpus)
        engine = RayEngine(cpus=options.cpus, gpus=options.gpus, retries=options.retries)
        config = run.config.model_copy(update={"threads": options.cpus})
        try:
            yield engine, SharedScore(config, run.folder.resolve(), ray.put(share(run)))
        finally:
            engine.shutdown()
