"""What processes that were killed leave, under the names that `spt.storage.files` gives it."""

from __future__ import annotations

import subprocess
import sys

from spt.storage import files


def dead_process() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def replaced_name(folder: str, process: int) -> str:
    """Return the name that a folder has between the two renamings by which a process replaces it."""
    return f".{folder}.{files._HOST}.{process}.old"
