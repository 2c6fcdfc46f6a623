"""Whether the files of an asset in the cache are still those that were installed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from spt.errors import InputError
from spt.storage.digests import file_digest, short
from spt.storage.files import write_text
from spt.storage.json_files import checked, read_json

RECORD = ".digests.json"

log = logging.getLogger(__name__)


class Installed(BaseModel):
    """Hold the SHA-256 of a file, and the size and the time that it had when that was taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    bytes: int
    modified: int


def are_whole(folder: Path, names: Iterable[str], pinned: Mapping[str, str]) -> bool:
    """Tell whether all files of an asset are there as they were installed, and warn of one that is not.

    Digests are noted beside the files, so that a file of the noted size and time need not be read.

    Args:
        folder: of the files.
        names: of the files.
        pinned: name -> SHA-256, as far as it is known without a note; other files are noted as they are.
    """
    noted = _noted(folder)
    now: dict[str, Installed] = {}
    for name in names:
        path = folder / name
        if not path.is_file():
            return False
        now[name] = _installed(path, noted.get(name))
        expected = noted[name].sha256 if name in noted else pinned.get(name, now[name].sha256)
        if now[name].sha256 != expected:
            log.warning(
                "%s is damaged (SHA-256 %s, installed with %s), and is installed anew",
                path,
                short(now[name].sha256),
                short(expected),
            )
            return False
    if now != noted:
        # whoever may not write there reads the files each time
        with suppress(OSError):
            content = {name: installed.model_dump() for name, installed in now.items()}
            write_text(folder / RECORD, json.dumps(content, indent=2) + "\n")
    return True


def _installed(path: Path, noted: Installed | None) -> Installed:
    status = path.stat()
    if noted is not None and (noted.bytes, noted.modified) == (status.st_size, status.st_mtime_ns):
        return noted
    return Installed(sha256=file_digest(path), bytes=status.st_size, modified=status.st_mtime_ns)


def _noted(folder: Path) -> dict[str, Installed]:
    path = folder / RECORD
    if not path.exists():
        return {}
    try:
        content = read_json(path, "")
        return {name: checked(Installed, value, f"'{path}'", "") for name, value in content.items()}
    except InputError as error:
        log.warning("%s", error)
        return {}
