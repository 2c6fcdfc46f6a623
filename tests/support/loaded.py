"""Which frameworks a piece of code loads, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

FRAMEWORKS = (
    "torch",
    "transformers",
    "datasets",
    "pytorch_lightning",
    "lightning_fabric",
    "nni",
    "ray",
    "optuna",
    "sklearn",
    "matplotlib",
)
REPORT = """
import atexit, sys
atexit.register(lambda: print("loaded", *(f for f in {frameworks} if f in sys.modules), file=sys.stderr))
"""


def loaded_by(code: str, exit_code: int = 0) -> set[str]:
    """Run Python code, and return those of FRAMEWORKS that it has loaded when it ends."""
    full = REPORT.format(frameworks=FRAMEWORKS) + code
    done = subprocess.run([sys.executable, "-c", full], capture_output=True, text=True, check=False)
    assert done.returncode == exit_code, done.stderr
    _, *loaded = done.stderr.splitlines()[-1].split()
    return set(loaded)


def loaded_by_command(*arguments: object, exit_code: int = 0) -> set[str]:
    """Run the `spt` command, and return those of FRAMEWORKS that it has loaded when it ends."""
    given = ["spt", *map(str, arguments)]
    return loaded_by(f"import sys; sys.argv = {given}; from experiments.cli import main; main()", exit_code)
