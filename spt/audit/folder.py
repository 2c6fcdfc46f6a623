"""The files of a folder: sizes, kinds, and links that lead out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spt.errors import InputError

# of folders in it there may be as many
MAX_FILES = 10_000
MAX_LEVELS = 32
ADVICE = "Give the folder of one prompt or backbone."
# as many bytes as tell what a file is
HEAD = 4096

Kind = Literal["tensors", "json", "vocabulary", "text", "pickle", "code", "other"]

KINDS: dict[str, Kind] = {
    **dict.fromkeys((".safetensors", ".ckpt"), "tensors"),
    ".json": "json",
    **dict.fromkeys((".model", ".vocab"), "vocabulary"),
    **dict.fromkeys((".md", ".txt", ".html", ".svg", ".csv", ".yml", ".yaml", ".jsonl"), "text"),
    **dict.fromkeys((".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".npz", ".zip"), "pickle"),
    **dict.fromkeys((".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".sh", ".exe", ".js", ".jar"), "code"),
}
VOCABULARIES = ("vocab.txt", "merges.txt")
# beginnings of programs: of Linux, Windows, macOS, and of scripts
PROGRAMS = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!")
# older ones are text, which only the name tells
PICKLE_PROTOCOLS = range(2, 6)


@dataclass(frozen=True)
class FoundFile:
    """Describe one file of a folder.

    Attributes:
        name: its path inside the folder, with slashes.
        path: its path from here.
        size: in bytes.
        kind: by its first bytes where they tell, else by its name.
        problem: what is wrong with it whatever it is read for; None for nothing.
    """

    name: str
    path: Path
    size: int
    kind: Kind
    problem: str | None = None


def find_files(folder: Path) -> list[FoundFile]:
    """Describe the files of a folder and of folders in it, by name; no link to a folder is followed.

    Raises:
        InputError: if it is no folder, cannot be read, or holds more than `MAX_FILES` files or folders, or
            folders in more than `MAX_LEVELS` levels.
    """
    if not folder.is_dir():
        raise InputError(f"'{folder}' is not a folder. Give the folder of a saved prompt or of a backbone.")
    found: list[FoundFile] = []
    for path in _paths(folder):
        if len(found) == MAX_FILES:
            raise InputError(f"'{folder}' holds more than {MAX_FILES:,} files. {ADVICE}")
        found.append(_describe(path, folder))
    return sorted(found, key=lambda file: file.name)


def _paths(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"'{error.filename}' cannot be read: {error.strerror}. Mend its mode.") from error

    for number, (parent, folders, files) in enumerate(os.walk(folder, onerror=refuse)):
        if number > MAX_FILES:
            raise InputError(f"'{folder}' holds more than {MAX_FILES:,} folders. {ADVICE}")
        if len(Path(parent).relative_to(folder).parts) > MAX_LEVELS:
            raise InputError(f"'{folder}' holds folders in more than {MAX_LEVELS} levels. {ADVICE}")
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        yield from (Path(parent) / name for name in [*files, *links])


def _describe(path: Path, folder: Path) -> FoundFile:
    name = path.relative_to(folder).as_posix()
    if path.is_symlink() and (problem := _link_problem(path, folder)):
        return FoundFile(name, path, 0, "other", problem)
    try:
        status = path.stat()
        # a pipe would be waited for, and a device has no end
        if not stat.S_ISREG(status.st_mode):
            return FoundFile(name, path, 0, "other", "is neither a file nor a folder, and is not read")
        with path.open("rb") as file:
            kind = _kind(path, file.read(HEAD))
    except OSError as error:
        return FoundFile(name, path, 0, "other", f"cannot be read: {error.strerror}")
    return FoundFile(name, path, status.st_size, kind, _kind_problem(kind))


def _link_problem(path: Path, folder: Path) -> str | None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return "is a link that leads nowhere"
    if not target.is_relative_to(folder.resolve()):
        return f"is a link that leads outside of the folder, to '{target}'"
    return "is a link to a folder" if target.is_dir() else None


def _kind(path: Path, head: bytes) -> Kind:
    if _is_pickle(head):
        return "pickle"
    if head.startswith(PROGRAMS):
        return "code"
    return "vocabulary" if path.name in VOCABULARIES else KINDS.get(path.suffix.lower(), "other")


def _is_pickle(head: bytes) -> bool:
    """Tell pickles of protocol 2 or later, and archives, which torch.save and NumPy put pickles in."""
    return head.startswith((b"PK\x03\x04", *(bytes([0x80, protocol]) for protocol in PICKLE_PROTOCOLS)))


def _kind_problem(kind: Kind) -> str | None:
    if kind == "pickle":
        return "is a pickle, or an archive or a name that pickles have: to load one runs what it says"
    return "is code" if kind == "code" else None
