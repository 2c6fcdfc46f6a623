"""A command in a process that is forked from one with everything imported, and what it leaves running."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import psutil

from benchmarks.crash import hook

# imported once, for all commands
PRELOADED = [
    "experiments.cli",
    "experiments.pipeline",
    "experiments.comparing.compare",
    "experiments.run.summary",
    "experiments.serving.process",
    "benchmarks.methods.measure",
    "sklearn.metrics",
    "spt.reports.charts",
]
# of the process from which the commands are forked: threads would not survive that
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
LOOK_SECONDS = 0.02

Begin = Callable[[Path, Path], object]


@dataclass(frozen=True)
class Place:
    """Where a command runs.

    Attributes:
        home: folder in which it may write, which counts as the user's home.
        inputs: folder of the files that it reads.
        environment: variables over those of this process.
        watched: folder of the home below which changes count; the home itself by default.
    """

    home: Path
    inputs: Path
    environment: dict[str, str]
    watched: str = ""


class Attempt:
    """One call of a command, from its beginning.

    Args:
        begin: does what the command does, in the process of its own; it must be importable.
        place: of the command.
        at: number of the change before which a process is killed; `hook.NEVER` for none.
        victim: see `hook.settings`.
    """

    def __init__(
        self, begin: Begin, place: Place, at: int = hook.NEVER, victim: hook.Victim = "writer"
    ) -> None:
        self.output = _next_free(place.home.parent, "output")
        self.count = self.output.with_suffix(".count")
        os.environ.update(ENVIRONMENT)
        context = get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._process = context.Process(target=_run, args=(begin, place, self.count, self.output, at, victim))
        self._process.start()
        self.began = time.monotonic()

    def wait(self, seconds: float) -> int | None:
        """Wait for the end; returns the exit code, negative for a signal, or None if it is not over yet."""
        self._process.join(seconds)
        return self._process.exitcode

    def processes(self) -> list[psutil.Process]:
        """List the living among the command's process and those that it started, with or without parents."""
        return [process for process in psutil.process_iter() if self._belongs(process)]

    def left(self, grace: float) -> list[str]:
        """Name the processes that are still there some seconds after the command's end, and kill them."""
        until = time.monotonic() + grace
        while (living := self.processes()) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        return [_killed(process) for process in living]

    def kill(self) -> None:
        """Kill the command's process."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Return the id of the command's process."""
        assert self._process.pid is not None
        return self._process.pid

    def _belongs(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # forked ones share the session, others got the environment
            return os.getsid(process.pid) == self.pid or process.environ().get(hook.COUNT) == str(self.count)
        except (psutil.Error, OSError):
            return False


def _run(begin: Begin, place: Place, count: Path, output: Path, at: int, victim: hook.Victim) -> None:
    os.setsid()
    # whoever was begun in the background hears no Ctrl-C, and so do its children
    signal.signal(signal.SIGINT, signal.default_int_handler)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.environ.update(place.environment)
    os.environ.update(hook.settings(place.home / place.watched, count, at, victim))
    os.chdir(place.home)
    hook.install()
    begin(place.home, place.inputs)


def _killed(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        words = " ".join(process.cmdline()).strip()
        process.kill()
        return words
    return str(process)


def _next_free(folder: Path, name: str) -> Path:
    number = sum(1 for _ in folder.glob(f"{name}-*.txt"))
    return folder / f"{name}-{number}.txt"
