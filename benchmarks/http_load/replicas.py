"""Two replicas on a Ray cluster of this machine, of which one is killed under load."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from benchmarks import CHECKOUT
from benchmarks.http_load.client import Body, Load, load
from spt.errors import MachineFault
from spt.storage.files import write_text

SHIPPED = CHECKOUT / "experiments" / "cluster" / "serve.yaml"
# as Ray calls the processes of the shipped file's deployment
TITLE = "ray::ServeReplica:spt:prompts"
REPLICAS, CLIENTS = 2, 16
# of the load, and when the replica is killed
SECONDS, KILLED_AT = 60.0, 20.0
START_SECONDS, END_SECONDS = 400.0, 60.0
LOOK_SECONDS = 0.2
# requests, which go to any replica, until each is taken to have got one
LOOKS = 10
START = re.compile(r"^process_start_time_seconds (\S+)$", re.M)


@dataclass(frozen=True)
class Cluster:
    """Hold a Ray cluster of this machine that serves prompts.

    Attributes:
        url: of its proxy.
        token: that requests must bear.
        process: that started it.
    """

    url: str
    token: str
    process: psutil.Process

    def replicas(self) -> list[psutil.Process]:
        """List the processes of replicas."""
        children = []
        for child in self.process.children(recursive=True):
            with suppress(psutil.Error):
                if child.cmdline() and child.cmdline()[0].startswith(TITLE):
                    children.append(child)
        return children

    def is_serving(self) -> bool:
        """Say whether all replicas answer: each has a start of its own among its metrics."""
        starts: set[str] = set()
        headers = {"Authorization": f"Bearer {self.token}"}
        with suppress(httpx.TransportError), httpx.Client(base_url=self.url, headers=headers) as client:
            for _ in range(LOOKS):
                starts.update(START.findall(client.get("/metrics").text))
        return len(starts) == REPLICAS

    def wait(self, seconds: float, log: Path) -> None:
        """Wait until the application answers with all replicas.

        Raises:
            MachineFault: if it does not within some seconds.
        """
        until = time.monotonic() + seconds
        while not self.is_serving():
            if time.monotonic() > until or not self.process.is_running():
                raise MachineFault(f"the replicas did not start; see {log}")
            time.sleep(LOOK_SECONDS)


@contextmanager
def replicated(
    prompts: Sequence[Path], folder: Path, environment: Mapping[str, str], **options: Any
) -> Iterator[Cluster]:
    """Run the shipped file, with other paths, on a cluster of this machine, until the block ends.

    Args:
        prompts: that are served.
        folder: for the file, the token and the output.
        environment: variables of Ray over those of this process.
        options: of the application.
    """
    token, token_file, log = secrets.token_hex(), folder / "token", folder / "serve.log"
    write_text(token_file, token)
    port = _free_port()
    config = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    config["http_options"]["port"] = port
    arguments = {"prompts": [str(path) for path in prompts], "token_file": str(token_file), **options}
    config["applications"][0]["args"] |= arguments
    write_text(folder / "serve.yaml", yaml.safe_dump(config))
    command = [sys.executable, "-m", "ray.serve.scripts", "run", str(folder / "serve.yaml")]
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as short:
        # sockets have short names
        variables = {**os.environ, "RAY_TMPDIR": short, **environment}
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=variables)
        cluster = Cluster(f"http://127.0.0.1:{port}", token, psutil.Process(process.pid))
        try:
            cluster.wait(START_SECONDS, log)
            yield cluster
        finally:
            _end(process)


def killed_replica(shelf: Path, folder: Path, bodies: Sequence[Body], seed: int) -> dict[str, Any]:
    """Kill one of two replicas under load.

    Returns:
        The record of the load, with `lost`, requests that got neither an answer nor a status of 5xx; how long
        after the kill the last error came; and how long it took until there were two replicas again.
    """
    with replicated([shelf], folder, {}) as cluster:

        async def kill() -> float:
            await asyncio.sleep(KILLED_AT)
            cluster.replicas()[0].kill()
            return time.monotonic()

        killed = 0.0

        async def questions(under_load: Load) -> None:
            nonlocal killed
            _, killed = await asyncio.gather(under_load.by_turns(CLIENTS, SECONDS), kill())

        under_load = load(cluster.url, bodies, seed, questions, cluster.token)
        cluster.wait(START_SECONDS, folder / "serve.log")
        back = time.monotonic() - killed
    errors = [outcome for outcome in under_load.outcomes if outcome.status != "200"]
    ends = [under_load.began + outcome.sent + outcome.seconds - killed for outcome in errors]
    return {
        **under_load.record(),
        "clients": CLIENTS,
        "lost": sum(not outcome.status.startswith("5") for outcome in errors),
        "last_error_seconds": round(max(ends), 2) if ends else None,
        "replicas_again_within_seconds": round(back, 2),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a cluster as Ctrl-C does, and kill what is left of it."""
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        process.kill()
        _, living = psutil.wait_procs(started, END_SECONDS)
        for child in living:
            with suppress(psutil.NoSuchProcess):
                child.kill()
