"""Whether Ray and NNI start here: each is started for a moment, and ended."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from experiments.doctor.finding import Finding


def look_at_ray() -> Iterator[Finding]:
    """Yield whether the cluster of RAY_ADDRESS answers, or one of this machine starts."""
    yield _timed(
        "Ray", _start_ray, "`spt tune` and search.engine.kind=ray need it: is /tmp full, or RAY_ADDRESS old?"
    )


def look_at_nni() -> Iterator[Finding]:
    """Yield whether nnictl starts an experiment, whose tuner and manager find each other."""
    yield _timed("NNI", _start_nni, "nnictl needs it; `spt run`, `compare` and `tune` do not.")


def _timed(what: str, start: Callable[[], str], advice: str) -> Finding:
    began = time.monotonic()
    try:
        value = start()
    except Exception as error:
        # whatever it is that hinders a start is what is looked for
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Finding(what, f"does not start: {reason}", "broken", advice)
    return Finding(what, f"{value} in {time.monotonic() - began:.0f} s")


def _start_ray() -> str:
    # loads ray, which takes a second
    from experiments.cluster.connect import cluster, nodes  # noqa: PLC0415

    with cluster():
        resources = nodes()
    cpus = sum(node["CPU"] for node in resources)
    return f"starts ({len(resources)} node, {cpus:g} CPUs)"


def _start_nni() -> str:
    from experiments.nni_trials.experiment import NniExperiment  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "experiment.yml"
        settings = {
            "experimentName": "spt-doctor",
            "experimentWorkingDirectory": folder,
            "searchSpace": {"x": {"_type": "choice", "_value": [0]}},
            "trialCommand": "true",
            "trialCodeDirectory": folder,
            "trialConcurrency": 1,
            "maxTrialNumber": 1,
            "tuner": {"name": "Random"},
            "trainingService": {"platform": "local"},
        }
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        with NniExperiment(config):
            return "starts"
