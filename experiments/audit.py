"""What `spt audit` prints."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spt.audit.folder import FoundFile
from spt.audit.report import Audit
from spt.storage.tensor_header import TensorEntry


def audit_lines(folder: Path, audit: Audit) -> Iterator[str]:
    """Write an audit for people, a line a file; what a terminal would obey is shown as its code."""
    named = {"neither": "is neither a saved prompt, a backbone nor an export", "export": "is an export"}
    yield _shown(f"{folder} {named.get(audit.content, f'is a {audit.content}')}: {len(audit.files)} files")
    for file in audit.files:
        read = "read" if file.name in audit.read else "-"
        tensors = _tensors_shown(audit.tensors.get(file.name, []))
        yield _shown(f"  {file.size:>15,}  {file.kind:<10}  {read:<4}  {file.name}{tensors}")
    yield from map(_shown, audit.notes)
    if not audit.problems:
        yield "Nothing is wrong."
        return
    yield f"Wrong, {len(audit.problems)}:"
    yield from (_shown(f"  {problem}") for problem in audit.problems)


def audit_json(folder: Path, audit: Audit) -> str:
    """Write an audit as JSON, with the name, type and shape of every tensor."""
    content = {
        "folder": str(folder),
        "content": audit.content,
        "files": [_file(file, audit) for file in audit.files],
        "tensors": {name: [asdict(each) for each in tensors] for name, tensors in audit.tensors.items()},
        "notes": audit.notes,
        "problems": audit.problems,
    }
    return json.dumps(content, indent=2)


def _file(file: FoundFile, audit: Audit) -> dict[str, Any]:
    return {"name": file.name, "size": file.size, "kind": file.kind, "read": file.name in audit.read}


def _tensors_shown(tensors: list[TensorEntry]) -> str:
    if not tensors:
        return ""
    types = Counter(tensor.dtype for tensor in tensors)
    numbers = sum(tensor.numbers for tensor in tensors)
    counts = ", ".join(f"{count} {dtype}" for dtype, count in sorted(types.items()))
    return f"  ({len(tensors)} tensors of {numbers:,} numbers: {counts})"


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
