"""What a measurement was made with: as any result, and the state of this checkout's code."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

from benchmarks import CHECKOUT
from spt.process.provenance import Provenance

PACKAGE = "spt-nas"
# whose changes may change a figure: documents and results do not
CODE = ("spt", "search_spaces", "strategies", "experiments", ":(glob)benchmarks/**/*.py")


def made_now(command: str | None = None) -> Provenance:
    """Note today's date, the machine, and the versions, where the checkout's own has its commit.

    Args:
        command: that a user types to make the result again.
    """
    now = Provenance.now(command)
    commit = code_commit(CHECKOUT)
    if commit is None:
        return now
    return replace(now, versions={**now.versions, PACKAGE: f"{now.versions.get(PACKAGE, '0')}+{commit}"})


@cache
def code_commit(checkout: Path) -> str | None:
    """Return the last commit that changed the code, with '.changed' where the files are not those of it.

    None where the checkout has no history, as a copy on another machine.
    """
    commit = _git(checkout, "log", "-1", "--format=%h", "--abbrev=10", "--", *CODE)
    if not commit:
        return None
    return f"{commit}.changed" if _git(checkout, "status", "--porcelain", "--", *CODE) else commit


def _git(checkout: Path, *words: str) -> str | None:
    try:
        command = ["git", "-C", str(checkout), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
