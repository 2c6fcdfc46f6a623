"""How many cores there are, and how many of them each of several workers may take."""

from __future__ import annotations

import os
from pathlib import Path

# what a container may use, as "200000 100000" microseconds a period, or "max 100000"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """Count the cores that this process may use: of the machine, or fewer by affinity or in a container."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(count, _quota() or count))


def share_of_cores(workers: int) -> int:
    """Return the threads of each of several workers: its part of the cores, or OMP_NUM_THREADS if less."""
    share = max(1, cores() // workers)
    return min(share, omp_threads() or share)


def omp_threads() -> int | None:
    """Return the threads that OMP_NUM_THREADS gives to torch; None where it gives none."""
    # nested loops may have a number each
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else None


def _quota() -> int | None:
    try:
        allowed, period = _QUOTA.read_text(encoding="ascii").split()
        return max(1, int(allowed) // int(period))
    except (OSError, ValueError):
        # no container, no limit, or another system
        return None
