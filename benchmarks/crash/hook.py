"""Count what processes change below a folder, and kill one of them just before a chosen change.

Python tells an audit hook of every file that is opened, renamed or removed, so that the product needs no door
for this. The hook is in the command's own process, and by `startup/sitecustomize.py` in each Python that it
starts; all of them count into one file.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, Literal

Victim = Literal["writer", "command"]
FOLDER, COUNT, AT, VICTIM, COMMAND = (
    f"SPT_CRASH_{name}" for name in ("FOLDER", "COUNT", "AT", "VICTIM", "COMMAND")
)
STARTUP = Path(__file__).parent / "startup"
NEVER = 0
# bytes of a line of the count
LINE = 256
CHANGES = {
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.chmod",
    "os.truncate",
    "os.link",
    "os.symlink",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def settings(folder: Path, count: Path, at: int = NEVER, victim: Victim = "writer") -> dict[str, str]:
    """Return the environment variables that `install` reads in this process and in those it starts.

    Args:
        folder: below which changes count.
        count: file that gets a line for each change; it is outside of `folder`.
        at: number of the change, from 1, before which a process is killed; NEVER to count only.
        victim: the process that was about to make the change, or that of the command.
    """
    return {
        FOLDER: str(folder),
        COUNT: str(count),
        AT: str(at),
        VICTIM: victim,
        COMMAND: str(os.getpid()),
        "PYTHONPATH": os.pathsep.join([str(STARTUP), str(STARTUP.parents[2])]),
    }


def changes(count: Path) -> list[str]:
    """Return what changed, in order, as the count has it."""
    text = count.read_text(encoding="utf-8", errors="replace") if count.exists() else ""
    return [text[start : start + LINE].strip() for start in range(0, len(text), LINE)]


def install() -> None:
    """Begin to count in this process, if the environment asks for it."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return
    count = os.open(os.environ[COUNT], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    at = int(os.environ[AT])
    command = int(os.environ[COMMAND])
    below = folder + os.sep

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        path = _changed(event, arguments)
        if path is None or not path.startswith(below):
            return
        line = f"{event} {path[len(below) :]}".encode("ascii", "replace")[: LINE - 1].ljust(LINE - 1) + b"\n"
        os.write(count, line)
        if os.lseek(count, 0, os.SEEK_CUR) == at * LINE:
            os.kill(command if os.environ[VICTIM] == "command" else os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def _changed(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return the path that an event is about to change; None if it changes none."""
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & WRITING:
            return None
    elif event in CHANGES:
        path = arguments[0]
    else:
        return None
    if not isinstance(path, str | bytes | os.PathLike):
        return None
    folder = arguments[-1] if event in CHANGES else None
    if isinstance(folder, int) and folder >= 0:
        # as shutil.rmtree names what it removes
        return str(Path(f"/proc/self/fd/{folder}").readlink() / os.fsdecode(path))
    return str(Path(os.fsdecode(path)).absolute())
