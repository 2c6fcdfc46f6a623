import socket
import time

import pytest

from experiments.cluster import connect as ray_cluster
from experiments.cluster.connect import check_address, check_feasible, cluster
from spt.errors import InputError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_dead_address_is_refused_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    dead = f"127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=f"No Ray cluster answers at '{dead}'"), cluster(dead):
        pass
    monkeypatch.setenv("RAY_ADDRESS", dead)
    with pytest.raises(InputError, match=f"No Ray cluster answers at '{dead}'"), cluster():
        pass
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "address", ["ray://head:10001", "http://127.0.0.1:8265", "head", ":6379", "head:gcs"]
)
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"must be host:port .*ray job submit"):
        check_address(address)


def test_an_address_that_answers_is_not() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        check_address(f"127.0.0.1:{server.getsockname()[1]}")
    check_address("auto")


def node(cpus: float, gpus: float = 0) -> dict[str, float]:
    return {"CPU": cpus, "GPU": gpus}


@pytest.mark.parametrize(
    ("cpus", "gpus", "there"),
    [(2, 0, [node(1), node(2)]), (1, 0.5, [node(8), node(1, 1)]), (4, 1, [node(0), node(8, 4)])],
)
def test_what_one_node_can_give_is_allowed(
    monkeypatch: pytest.MonkeyPatch, cpus: float, gpus: float, there: list[dict[str, float]]
) -> None:
    monkeypatch.setattr(ray_cluster, "nodes", lambda: there)
    monkeypatch.setattr(ray_cluster, "_node_types", lambda: [])
    check_feasible(cpus, gpus)


def test_what_only_all_nodes_together_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "nodes", lambda: [node(2), node(1, 1)])
    monkeypatch.setattr(ray_cluster, "_node_types", lambda: [])
    for wanted in ((3, 0), (2, 1), (1, 2)):
        with pytest.raises(InputError, match="have: 2 CPUs and 0 GPUs; 1 CPUs and 1 GPUs"):
            check_feasible(*wanted)


def test_what_an_autoscaler_can_add_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "nodes", lambda: [node(0)])
    monkeypatch.setattr(ray_cluster, "_node_types", lambda: [node(8, 1)])
    check_feasible(4, 1)
