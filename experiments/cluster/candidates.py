"""The candidates of a search, trained side by side on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from experiments.cluster.connect import check_feasible, cluster
from experiments.cluster.shared import SharedWorkbench, share
from experiments.config import RunConfig
from experiments.run.folds import train_candidate
from spt.architecture import PromptLayers
from spt.process.devices import use_device
from spt.training.result import TrainingResult
from spt.workbench import Workbench
from strategies.options import EngineOptions
from strategies.ray_engine import RayEngine


@dataclass(frozen=True)
class SharedTraining:
    """Trains a candidate in a worker, over the workbench in Ray's object store.

    Args:
        config: of the run.
        folder: of the search, which all nodes reach.
        workbench: reference of a SharedWorkbench.
    """

    config: RunConfig
    folder: Path
    workbench: Any

    def __call__(self, layers: PromptLayers) -> TrainingResult:
        """Train in the candidate's folder, or go on there."""
        use_device(self.config.device)
        shared: SharedWorkbench = ray.get(self.workbench)
        return train_candidate(shared.open(self.config), self.folder, None, layers)


@contextmanager
def ray_candidates(
    workbench: Workbench, config: RunConfig, options: EngineOptions, folder: Path
) -> Iterator[tuple[RayEngine, SharedTraining]]:
    """Yield an engine on the cluster of RAY_ADDRESS, or of this machine, and what trains candidates there.

    Args:
        workbench: of the configuration.
        config: of the run.
        options: name the CPUs and GPUs of a candidate.
        folder: of the search.

    Raises:
        InputError: the cluster cannot be used, or no node has what a candidate asks for.
    """
    with cluster():
        check_feasible(options.cpus, options.gpus)
        engine = RayEngine(cpus=options.cpus, gpus=options.gpus, retries=options.retries)
        try:
            yield engine, SharedTraining(config, folder.resolve(), ray.put(share(workbench, config)))
        finally:
            engine.shutdown()
