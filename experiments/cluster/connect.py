"""Connecting to a Ray cluster, or starting one on this machine, and what it can give."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import ray
from ray._private.state import state

from spt.errors import InputError

CONNECT_SECONDS = 5.0


@contextmanager
def cluster(address: str | None = None) -> Iterator[None]:
    """Use a running cluster, or a new one of this machine, until the block ends; inside it, the same one.

    Args:
        address: host:port of the cluster, or 'auto' for the one this machine belongs to; None: RAY_ADDRESS,
            and without that a new one, which listens for no dashboard and ends with the block.

    Raises:
        InputError: nothing answers at the address, or it is of another kind.
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    check_address(address)
    try:
        with _own_sigterm():
            ray.init(
                address=address,
                include_dashboard=False if address == "local" else None,
                log_to_driver=False,
                logging_level="ERROR",
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"Cannot use the Ray cluster at '{address}': {reason}. Check the address and the cluster's token."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep this process's answer to SIGTERM: Ray's own prints a trace, and may abort."""
    mine = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, mine or signal.SIG_DFL)


def check_address(address: str) -> None:
    """Refuse an address where nothing listens; Ray itself would try for minutes.

    Raises:
        InputError: as above, or the address is of another kind.
    """
    if address in ("local", "auto"):
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise InputError(
            f"The Ray address is '{address}', but must be host:port of the cluster's head, or 'auto' on "
            "one of its machines. From elsewhere submit the command with `ray job submit`."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise InputError(
            f"No Ray cluster answers at '{address}' ({error}). Start it with `ray start --head` or `ray up`, "
            "or leave out --address and RAY_ADDRESS to use this machine alone."
        ) from error


def nodes() -> list[dict[str, float]]:
    """Return the CPUs and GPUs of each node that is alive."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [{kind: float(amounts.get(kind, 0)) for kind in ("CPU", "GPU")} for amounts in resources]


def check_feasible(cpus: float, gpus: float) -> None:
    """Refuse what no node has nor an autoscaler could add; Ray would wait for ever.

    Raises:
        InputError: with what there is.
    """
    nodes_there = nodes()
    wanted = {"CPU": cpus, "GPU": gpus}
    if any(_gives(node, wanted) for node in [*nodes_there, *_node_types()]):
        return
    there = "; ".join(f"{node['CPU']:g} CPUs and {node['GPU']:g} GPUs" for node in nodes_there)
    raise InputError(
        f"A trial asks for {cpus:g} CPUs and {gpus:g} GPUs on one node, which this cluster can never give. "
        f"Its {len(nodes_there)} node(s) have: {there}. "
        "Ask for fewer CPUs or GPUs a trial, or add a larger node."
    )


def _gives(node: dict[str, float], wanted: dict[str, float]) -> bool:
    return all(node.get(kind, 0) >= amount for kind, amount in wanted.items())


def _node_types() -> list[dict[str, float]]:
    """Return the resources of each kind of node that an autoscaler may add; none without one."""
    config = None
    # Ray has no public call for it
    with suppress(AttributeError, TypeError):
        config = state.get_cluster_config()
    return [dict(group.resources) for group in config.node_group_configs] if config is not None else []
