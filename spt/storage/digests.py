"""Digests: short names of content, the same in every process and on every machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

SIZE = 16
READ_AT_ONCE = 2**20
SHOWN = 12


def json_digest(value: Any) -> str:
    """Return the digest of a JSON value, whatever the order of its keys."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=SIZE).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, as `sha256sum` prints it.

    Raises:
        OSError: if the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(READ_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def short(digest: str) -> str:
    """Return enough of a digest to tell it from another in a message."""
    return digest[:SHOWN]
