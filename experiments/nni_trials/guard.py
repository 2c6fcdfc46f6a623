"""`python -m experiments.nni_trials.guard PORT`: ends an experiment whose driver was killed.

NNI's manager is a process of its own session, which nothing else would end. The guard reads its standard
input, whose other end the driver has: that closes with the driver, however it ends.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from experiments.nni_trials.processes import LOOK_SECONDS, command_of, end_all, manager_of, with_children

STOP_SECONDS = 10.0


def start_guard(port: int) -> subprocess.Popen[bytes]:
    """Start the guard of the experiment at a port; it ends once its standard input is closed."""
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.nni_trials.guard", str(port)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        # Ctrl-C is for the driver
        start_new_session=True,
    )


def main(port: int) -> None:
    """Wait for the driver's end, and end what it left."""
    sys.stdin.buffer.read()
    manager = manager_of(port)
    while manager is None and _is_starting(port):
        time.sleep(LOOK_SECONDS)
        manager = manager_of(port)
    if manager is not None:
        end_all(manager, with_children(manager), STOP_SECONDS)


def _is_starting(port: int) -> bool:
    """Tell whether an nnictl is about to start the manager."""
    commands = [command_of(process) for process in psutil.process_iter()]
    return any(
        str(port) in command and any(part.endswith("nnictl") for part in command) for command in commands
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
