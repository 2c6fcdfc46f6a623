"""The HTTP API in replicas on a Ray cluster: the shipped file, what it refuses, and a kill under load."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from benchmarks.http_load.replicas import SHIPPED, replicated
from experiments.cluster.serving import DEPLOYMENT, ReplicaOptions, build
from experiments.serving.auth import VARIABLE
from experiments.serving.messages import LabelResponse, TaskList
from experiments.serving.options import checked_options
from spt.errors import InputError
from tests.support.serving import LAYERS, TEXTS, make_shelf

TOKEN = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shelf(tmp_path_factory.mktemp("replicas"))


def test_the_shipped_file_fits_rays_schema_and_our_options() -> None:
    schema = ServeDeploySchema.model_validate(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))
    assert schema.http_options.host == "127.0.0.1"
    (application,) = schema.applications
    assert application.import_path == f"{build.__module__}:{build.__name__}"
    options = checked_options(ReplicaOptions, application.args)
    assert options.token_file is not None and len(options.prompts) == 2
    (deployment,) = application.deployments
    assert deployment.name == DEPLOYMENT and deployment.num_replicas == 2


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"queue": 0, "batches": 3}, r"3 problems in the options"),
        ({"prompts": []}, "prompts: List should have at least 1 item"),
        ({"prompts": ["none"]}, "is neither a saved prompt nor a folder of some"),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_is_deployed(args: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        build(args)


def test_a_cluster_serves_nothing_without_a_token(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(InputError, match=f"a token is needed: set token_file, or {VARIABLE} on every node"):
        build({"prompts": [str(shelf)]})
    monkeypatch.setenv(VARIABLE, TOKEN)
    build({"prompts": [str(shelf)]})


@pytest.mark.slow
@pytest.mark.ray
def test_a_killed_replica_loses_no_request_but_those_it_had_which_get_an_error(
    shelf: Path, tmp_path: Path
) -> None:
    private = {"HOME": str(tmp_path), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    # requests wait for others in their replica, so that both have some when one is killed
    with (
        replicated([shelf], tmp_path, private, batch_ms=4000, batch_size=4096) as cluster,
        ThreadPoolExecutor(16) as pool,
    ):
        headers = {"Authorization": f"Bearer {cluster.token}"}
        with httpx.Client(base_url=cluster.url, headers=headers, timeout=60) as client:
            tasks = TaskList.model_validate(client.get("/v1/tasks").json()).tasks
            assert {task.name for task in tasks} == {*LAYERS, "pair"}
            assert httpx.post(f"{cluster.url}/v1/label", json={"texts": TEXTS}).status_code == 401
            assert client.post("/v1/label", json={"texts": []}).status_code == 422

            def ask() -> httpx.Response:
                return client.post("/v1/label", json={"texts": TEXTS})

            asked = [pool.submit(ask) for _ in range(16)]
            time.sleep(1)
            cluster.replicas()[0].kill()
            responses = [future.result() for future in asked]
            statuses = {response.status_code for response in responses}
            assert 200 in statuses and len(statuses) > 1
            assert all(status == 200 or status >= 500 for status in statuses)
            answers = [response.json() for response in responses if response.status_code == 200]
            assert all(LabelResponse.model_validate(answer) and answer == answers[0] for answer in answers)
            # what comes after goes to the replicas that live
            assert [future.result().status_code for future in [pool.submit(ask) for _ in range(8)]] == [
                200
            ] * 8
