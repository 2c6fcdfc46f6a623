"""Optuna's journal of a study: opened by one process at a time, and mended after one that was killed."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from spt.errors import InputError
from spt.storage.files import write_bytes

# a key of the record that begins a study
STUDY = "study_name"
ADVICE = "Delete the study's folder, and begin it anew."

log = logging.getLogger(__name__)


def open_journal(path: Path) -> JournalStorage:
    """Open a journal, or make it, where no other process uses it.

    A last record that was cut off while it was written is dropped, which is said: without that Optuna would
    write the next one behind it, and read neither.

    Raises:
        InputError: if another record is damaged, or the records do not make a study.
    """
    if path.is_dir():
        raise InputError(f"'{path}' is a folder, but a study's journal is kept there. Move the folder away.")
    if path.exists():
        _mend(path)
    # a process that was killed leaves its lock, for which Optuna would wait half a minute
    Path(f"{path}.lock").unlink(missing_ok=True)
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The records of '{path}' do not make a study ({error!r}). {ADVICE}") from error


def _mend(path: Path) -> None:
    *lines, rest = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not _is_record(line):
            raise InputError(f"Line {number} of '{path}' is damaged. {ADVICE}")
    if lines and STUDY not in json.loads(lines[0]):
        raise InputError(f"'{path}' does not begin with a study. {ADVICE}")
    if rest:
        log.warning("the last record of %s was cut off while it was written, and is left out", path)
        write_bytes(path, b"".join(line + b"\n" for line in lines))


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
