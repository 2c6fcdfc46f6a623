"""A run of MLflow, in the store that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from experiments.tracking.records import Record
from experiments.tracking.tracker import TrackedRun

# MLflow's own variable for it
EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"
# a batch may have as many parameters, and a parameter's text as many characters
MOST_PARAMETERS, LONGEST = 100, 500


class Mlflow:
    """Logs to a run by its id alone, so that no run of the process's own is ended or taken over.

    Args:
        client: of the store.
        run_id: of a run in it.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.run_id: str = run_id
        self._client = client

    def log(self, record: Record) -> None:
        """Add a step's metrics."""
        self._log(record.tags, record.step)

    def finish(self, values: Mapping[str, float]) -> None:
        """Add the last numbers as metrics."""
        self._log({f"final/{name}": value for name, value in values.items()}, 0)

    def close(self, failed: bool) -> None:
        """End the run; a later session may go on with it."""
        self._client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")

    def _log(self, values: Mapping[str, float], step: int) -> None:
        now = int(1000 * time.time())
        self._client.log_batch(self.run_id, [Metric(tag, value, now, step) for tag, value in values.items()])


def open_mlflow(run: TrackedRun, run_id: str | None) -> Mlflow:
    """Begin a run, with the configuration as its parameters, or go on with one."""
    client = MlflowClient()
    if run_id is not None:
        client.update_run(run_id, status="RUNNING")
        return Mlflow(client, run_id)
    name = os.environ.get(EXPERIMENT, "spt")
    experiment = client.get_experiment_by_name(name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
    begun = client.create_run(experiment_id, run_name=run.name)
    parameters = [Param(key, str(value)[:LONGEST]) for key, value in run.flat_config.items()]
    for start in range(0, len(parameters), MOST_PARAMETERS):
        client.log_batch(begun.info.run_id, params=parameters[start : start + MOST_PARAMETERS])
    client.log_batch(begun.info.run_id, tags=[RunTag("spt.folder", str(run.folder.resolve()))])
    return Mlflow(client, begun.info.run_id)
