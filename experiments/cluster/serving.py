"""Saved prompts behind HTTP on a Ray cluster: the same application as of `spt serve`, in several replicas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
from fastapi import FastAPI
from pydantic import Field
from ray import serve

from experiments.serving.api import make_app
from experiments.serving.auth import VARIABLE, read_token
from experiments.serving.engine import Engine
from experiments.serving.folders import PromptFolders
from experiments.serving.options import ServingOptions, checked_options
from experiments.serving.process import GRACE
from spt.errors import InputError, MachineFault
from spt.process.devices import use_device
from spt.process.modes import AUTO

# of the deployment, as experiments/cluster/serve.yaml calls it
DEPLOYMENT = "prompts"


class ReplicaOptions(ServingOptions):
    """Say what each replica serves, beside its bounds; all of it for a replica by itself."""

    prompts: list[str] = Field(
        min_length=1, description="FOLDER or NAME=FOLDER each, which all nodes reach by the same path."
    )


def build(args: Mapping[str, Any]) -> serve.Application:
    """Build the Ray Serve application of a configuration file.

    Args:
        args: fields of `ReplicaOptions`.

    Raises:
        InputError: with all options that are wrong; for folders that cannot be served; or without a token,
            as other machines reach a cluster.
    """
    options = checked_options(ReplicaOptions, args)
    PromptFolders.of(options.prompts)
    _token(options)

    def app() -> FastAPI:
        return replica_app(options)

    class PromptReplica:
        """Serve in one process of the cluster."""

        def check_health(self) -> None:
            """Let Ray start another replica in the place of one that does not work."""
            if fault := self.app.state.service.fault():  # type: ignore[attr-defined]
                raise MachineFault(fault)

    deployment = serve.deployment(
        serve.ingress(app)(PromptReplica),
        name=DEPLOYMENT,
        # what is too much is refused by the replica, whose bound counts answers
        max_ongoing_requests=options.queue,
        graceful_shutdown_timeout_s=options.timeout + GRACE,
    )
    return deployment.bind()


def replica_app(options: ReplicaOptions) -> FastAPI:
    """Make the application of a replica, which computes on the GPU, or part of one, that it was given."""
    use_device(AUTO if ray.get_gpu_ids() else "cpu")
    folders = PromptFolders.of(options.prompts)
    engine = Engine(folders.current().prompts, options.batch_size, options.cache_mb * 2**20)
    return make_app(engine, folders, options, _token(options))


def _token(options: ServingOptions) -> str:
    token = read_token(options.token_file)
    if token is None:
        raise InputError(
            f"A cluster is reached from other machines, so a token is needed: set token_file, or {VARIABLE} "
            "on every node."
        )
    return token
