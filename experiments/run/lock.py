"""Whether a process holds a folder: asked without writing into it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def is_held(path: Path) -> bool:
    """Say whether a process holds a lock file; whoever may not read it cannot know.

    Args:
        path: of the file, as `filelock.FileLock` takes it.
    """
    if not path.exists():
        return False
    return _windows_holds(path) if sys.platform == "win32" else _refuses(path, exclusively=False)


@contextmanager
def shown_as_used(path: Path) -> Iterator[None]:
    """Hold a file that is there, as other processes may too, for `is_used` to say so; not on Windows."""
    with path.open("rb") as file:
        if sys.platform != "win32":
            # no part of Python on Windows
            import fcntl  # noqa: PLC0415

            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def is_used(path: Path) -> bool:
    """Say whether any process holds a file by `shown_as_used`; never on Windows."""
    return sys.platform != "win32" and path.exists() and _refuses(path, exclusively=True)


def _refuses(path: Path, exclusively: bool) -> bool:
    """Say whether a file cannot be locked now; the lock is given back when the file is closed."""
    # no part of Python on Windows
    import fcntl  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            fcntl.flock(file, (fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _windows_holds(path: Path) -> bool:
    try:
        FileLock(path).acquire(timeout=0).lock.release()
    except Timeout:
        return True
    except OSError:
        return False
    return False
