"""What a command left in a folder, file by file, so that two ends can be compared, times aside."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from spt.process.provenance import PROVENANCE
from spt.storage.digests import file_digest
from spt.storage.tensor_files import read_tensors, tensors_digest
from spt.training.checkpoint import load_state

TENSORS = (".safetensors", ".ckpt")
# drawings and prose of what the other files hold, with times and dates in them
PAGES = (".html", ".md", ".svg")
READERS: Mapping[str, Callable[[str], Any]] = {
    ".json": json.loads,
    ".jsonl": lambda text: [json.loads(line) for line in text.splitlines()],
    ".yml": yaml.safe_load,
    ".csv": lambda text: list(csv.DictReader(text.splitlines())),
}
UNSTABLE = ("seconds", "peak_bytes")
End = Mapping[str, Any]


def end_of(folder: Path) -> dict[str, Any]:
    """Return relative path -> content of every file below a folder that the next session goes on with."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_of_session(path))
    return {str(path.relative_to(folder)): _content(path) for path in files}


def _is_of_session(path: Path) -> bool:
    """Say whether each session has a file of its own of the kind: locks, and TensorBoard's events."""
    return path.name.endswith(".lock") or path.name.startswith("events.out.tfevents.")


def differences(expected: End, end: End) -> list[str]:
    """Name the files that only one of two ends has, or whose content differs."""
    names = sorted(expected.keys() | end.keys())
    return [
        f"{name} is {'missing' if name not in end else 'new' if name not in expected else 'another'}"
        for name in names
        if name not in end or name not in expected or expected[name] != end[name]
    ]


def _content(path: Path) -> Any:
    if path.suffix in PAGES:
        return None
    if path.suffix in TENSORS:
        # the rest of a checkpoint is Lightning's: clocks, paths, and scores that a resumed one lacks
        checkpoint = path.suffix == ".ckpt"
        tensors = load_state(path)["state_dict"] if checkpoint else read_tensors(path, "").tensors
        return tensors_digest({name: tensors[name] for name in sorted(tensors)})
    read = READERS.get(path.suffix)
    return file_digest(path) if read is None else stable(read(path.read_text(encoding="utf-8")))


def stable(content: Any) -> Any:
    """Leave out of JSON what a clock, the versions or the machine say."""
    if isinstance(content, Mapping):
        return {key: stable(value) for key, value in content.items() if not _unstable(str(key))}
    return [stable(value) for value in content] if isinstance(content, list) else content


def _unstable(key: str) -> bool:
    return key in PROVENANCE or any(part in key for part in UNSTABLE)
