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
    return f".{folder}.{files._HOST}.{process}.0.spt.old"


def temporary_name(name: str, process: int, host: str = files._HOST) -> str:
    """Return the name of what a process on a host writes before it takes the place of a file or folder."""
    return f".{name}.{host}.{process}.0.spt.partial"
