"""NNI's processes: finding the manager, ending all of them, and ending with the manager."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from urllib.parse import urlsplit

import psutil

LOOK_SECONDS = 0.5
# a manager that ends well ends its trials and its tuner itself
GRACE_SECONDS = 2.0


def manager_of(port: int | None) -> psutil.Process | None:
    """Look for the process of NNI's manager at a port of this machine."""
    for process in psutil.process_iter():
        command = command_of(process)
        is_manager = any(part.endswith("main.js") for part in command) and "--port" in command
        if is_manager and command[command.index("--port") + 1] == str(port):
            return process
    return None


def command_of(process: psutil.Process) -> list[str]:
    """Return the words that a process was started with; none for one that is gone or another user's."""
    with suppress(psutil.Error):
        return list(process.cmdline())
    return []


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process runs; one that has ended and waits to be noticed does not."""
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def with_children(process: psutil.Process) -> set[psutil.Process]:
    """Return a process with all that it started; none for one that is gone."""
    with suppress(psutil.NoSuchProcess):
        return {process, *process.children(recursive=True)}
    return set()


def end_all(manager: psutil.Process | None, processes: Collection[psutil.Process], seconds: float) -> None:
    """End the manager, as `nnictl stop` does, or all processes where it is gone; kill what stays.

    Args:
        manager: which ends the others.
        processes: that are to be gone in the end.
        seconds: that they get before they are killed.
    """
    for process in [manager] if manager is not None and is_alive(manager) else processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=seconds)


def end_with_manager(channel: str) -> None:
    """End this process soon after NNI's manager, however that ends: nobody would use its result.

    Args:
        channel: NNI_TRIAL_COMMAND_CHANNEL or NNI_TUNER_COMMAND_CHANNEL; a manager that is not on this machine
            is not followed.
    """
    manager = manager_of(urlsplit(channel).port)
    if manager is not None:
        threading.Thread(target=_follow, args=(manager,), daemon=True).start()


def _follow(manager: psutil.Process) -> None:
    while is_alive(manager):
        time.sleep(LOOK_SECONDS)
    time.sleep(GRACE_SECONDS)
    # nothing of a run or of a journal is lost by an end at any moment
    os._exit(128 + signal.SIGTERM)
