"""Commands that lose something when they are killed, each in a way of its own, and one that does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.crash.deeds import Deed
from benchmarks.crash.ends import End, end_of
from spt.storage.files import write_text

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def write_safely(home: Path, _inputs: Path) -> None:
    """Write three files, each whole or not at all."""
    for name in ("a", "b", "c"):
        write_text(home / f"{name}.json", "{}")


def append_twice(home: Path, _inputs: Path) -> None:
    """Add two lines to a file, and begin no other way the second time."""
    for _ in range(2):
        with (home / "lines.jsonl").open("a", encoding="utf-8") as file:
            file.write("{}\n")


def leave_a_child(home: Path, inputs: Path) -> None:
    """Start a process that does not notice its parent's end."""
    child = subprocess.Popen(SLEEP)
    write_safely(home, inputs)
    child.kill()


def leave_a_temporary(home: Path, _inputs: Path) -> None:
    """Write by way of a temporary file that nobody sweeps."""
    place = home / "a.json"
    if not place.exists():
        partial = home / f"a.{len(list(home.iterdir()))}.partial"
        partial.write_text("{}", encoding="utf-8")
        partial.rename(place)


def end_of_home(home: Path) -> End:
    return end_of(home)


def fake_deed(begin: object) -> Deed:
    return Deed("true", begin, end_of_home, weight=1, workers=False, grace=0.5)  # type: ignore[arg-type]
