"""What happened epoch by epoch, one JSON line a record, written as it goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spt.errors import InputError
from spt.storage.files import write_text
from spt.storage.json_files import read_json_lines

ADVICE = "Delete it: only the curves and warnings of the report come from it."


class History:
    """Append {"epoch": ..., ...} lines to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin_epoch(self, epoch: int) -> None:
        """Drop what a killed session wrote of this epoch: it is about to be repeated."""
        if not self.path.exists():
            return
        lines = read_json_lines(self.path, ADVICE)
        earlier = [line for line in lines if _epoch(line, self.path) < epoch]
        write_text(self.path, "".join(f"{json.dumps(line)}\n" for line in earlier))

    def record(self, epoch: int, **values: Any) -> None:
        """Add a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch, **values}) + "\n")


def _epoch(line: dict[str, Any], path: Path) -> int:
    if not isinstance(line.get("epoch"), int):
        raise InputError(f"A line of '{path}' has no epoch: {json.dumps(line)}. {ADVICE}")
    epoch: int = line["epoch"]
    return epoch
