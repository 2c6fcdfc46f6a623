"""What happened epoch by epoch, one JSON line a record, written as it goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spt.files import write_text


class History:
    """Append {"epoch": ..., ...} lines to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin_epoch(self, epoch: int) -> None:
        """Drop what a killed session wrote of this epoch: it is about to be repeated."""
        if not self.path.exists():
            return
        # a line that was cut off while it was written has no end
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        earlier = [line for line in lines if json.loads(line)["epoch"] < epoch]
        write_text(self.path, "".join(f"{line}\n" for line in earlier))

    def record(self, epoch: int, **values: Any) -> None:
        """Add a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch, **values}) + "\n")
