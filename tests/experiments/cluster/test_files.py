"""The cluster files fit the schemas that can be had without a cluster."""

from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from packaging.version import Version
from ray.autoscaler._private.util import prepare_config, validate_config

from experiments.tuning.config import load_tune_config

FOLDER = Path(__file__).parents[3] / "experiments" / "cluster"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ["local.yaml", "aws.yaml"])
def test_ray_accepts_the_cluster_file(name: str) -> None:
    (config,) = documents(name)
    config = prepare_config(config)
    validate_config(config)
    assert config["head_node_type"] in config["available_node_types"]
    starts = [
        c for key in ("head", "worker") for c in config[f"{key}_start_ray_commands"] if "ray start" in c
    ]
    assert len(starts) == 2
    assert all(command.startswith("RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 ") for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "~/.ray/auth_token" in config["file_mounts"]


def test_the_driving_machine_of_the_cloud_runs_no_trials() -> None:
    (config,) = documents("aws.yaml")
    types = config["available_node_types"]
    assert types["head"]["resources"]["CPU"] == 0
    assert types["gpu"]["resources"]["GPU"] == 1
    assert types["gpu"]["max_workers"] <= config["max_workers"]


def test_the_rayjob_is_consistent() -> None:
    claim, job = documents("kuberay.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert Version(cluster["rayVersion"]).release[:1] == Version(ray.__version__).release[:1]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
        claims = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
        (mount,) = container["volumeMounts"]
        assert claims[mount["name"]] == claim["metadata"]["name"]
        assert job["spec"]["entrypoint"].count(f"{mount['mountPath']}/") == 3
    assert len({group["template"]["spec"]["containers"][0]["image"] for group in groups}) == 1


def test_the_shipped_study_is_valid_and_covers_the_regularisation() -> None:
    config = load_tune_config(FOLDER.parent / "tune.yml")
    assert {
        "search.consistency",
        "search.gate_weight_decay",
        "search.gate_learning_rate",
        "search.mask_probability",
        "search.warmup_epochs",
        "prompt.dropout",
        "training.learning_rate",
        "training.prompt_rate",
        "training.generator_rate",
        "training.weight_decay",
        "training.warmup",
    } == set(config.search_space)
    assert config.max_failures > 0
