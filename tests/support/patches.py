"""Changes to files as a page shows them: a unified diff without line numbers."""

from __future__ import annotations

from pathlib import Path


def apply_diff(diff: str, root: Path) -> None:
    """Change the file that a diff names; what each hunk replaces must be in it exactly once."""
    header, *hunks = diff.split("\n@@\n")
    path = root / header.splitlines()[-1].removeprefix("+++ b/")
    text = path.read_text(encoding="utf-8")
    for hunk in hunks:
        # an empty line of context has lost its space
        lines = [line or " " for line in hunk.splitlines()]
        before = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
        after = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
        assert text.count(before) == 1, f"{path.name} has not one\n{before}"
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")
