"""Ray for tests: private, quiet, small, and never another's cluster."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

STORE = 80 * 2**20


@contextmanager
def private_ray() -> Iterator[None]:
    """A short folder for sockets, a home of its own, and no address of a cluster."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("HOME", folder)
        # a test's cluster is on this machine alone, and ends with it
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield
    shutil.rmtree(folder, ignore_errors=True)


def node(cpus: int) -> dict[str, Any]:
    """Arguments of a small node."""
    return {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": STORE}
