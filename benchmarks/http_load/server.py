"""`spt serve` in a process of its own, and the memory that it takes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from spt.errors import MachineFault

START_SECONDS = 300.0
END_SECONDS = 60.0
ENDED_BY_SIGTERM = 128 + signal.SIGTERM
COMMAND = "from experiments.cli import main; main()"


@contextmanager
def serving(shelf: Path, log: Path, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server, and yield its address and its process; SIGTERM ends it.

    Args:
        shelf: folder of the prompts.
        log: file of its output.
        options: of `spt serve`.

    Raises:
        MachineFault: if it does not start, or does not end as it is asked to.
    """
    words = ["serve", str(shelf), "--port", "0", *options]
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", COMMAND, *words], stdout=output, stderr=output)
    try:
        yield _address(process, log), psutil.Process(process.pid)
        process.terminate()
        if (code := process.wait(END_SECONDS)) != ENDED_BY_SIGTERM:
            raise MachineFault(f"the server ended with code {code}; see {log}")
    finally:
        process.kill()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if said := re.search(r"at (http://\S+)", log.read_text(encoding="utf-8", errors="replace")):
            return said[1]
        time.sleep(0.2)
    raise MachineFault(f"the server did not start; see {log}")
