"""The one way to write a file: it is there whole or not at all, whatever is killed, and the disk has it."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from spt.errors import InputError

_ENDING = ".spt.partial"
# of a folder whose place another is taking
_REPLACED = ".spt.old"
_PROCESSES = Path("/proc/self/ns/pid")
# nobody else's file is called so, and nobody else's is removed
_TEMPORARY = re.compile(
    r"\.(?P<name>.+)\.(?P<host>[\w-]+)\.(?P<pid>\d+)\.\d+\.spt\.(?:partial|old)", re.DOTALL
)
_numbers = itertools.count()
# a writer on another machine, or one whose id another process has by now, is dead after this long
_ABANDONED_SECONDS = 24 * 3600


def _host() -> str:
    """Return what two processes have in common just where each sees whether the other lives.

    Containers may share the name of their machine, and then each has processes of its own.
    """
    name = re.sub(r"\W", "-", socket.gethostname())
    return f"{name}-{_PROCESSES.stat().st_ino}" if _PROCESSES.exists() else name


_HOST = _host()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Hand out a temporary neighbour of a file to write, and put it in the file's place at the block's end.

    It is flushed to the disk before, its mode is as the umask says, and the folder is flushed after. Where
    the block raises, the file stays as it was. What dead processes left in the folder is swept. A symbolic
    link stays one: the file that it names is written.

    Args:
        path: of the file; its folder is there.

    Raises:
        InputError: if there is a folder, a pipe or a device of the file's name.
        OSError: of the disk, naming the file.
    """
    if path.is_dir():
        raise InputError(f"'{path}' is a folder, but a file is written there. Move the folder away.")
    if path.exists() and not path.is_file():
        raise InputError(
            f"'{path}' is a pipe or a device, but what is written takes the place of a file. Choose a file."
        )
    path = path.resolve() if path.is_symlink() else path
    sweep(path.parent)
    partial = _temporary(path, _ENDING)
    try:
        # made here, because some libraries make files that nobody else may read
        os.close(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666))
        mode = partial.stat().st_mode
        yield partial
        _flush(partial)
        partial.chmod(mode)
        partial.replace(path)
        _flush_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path, marker: str, kind: str, replaced: Collection[str]) -> Iterator[Path]:
    """Hand out a temporary neighbour of a folder to fill, and put it in its place at the block's end.

    Where the block raises, the folder stays as it was; a kill leaves it so too, or for `restore_folder`. What
    dead processes left beside it is swept.

    Args:
        folder: that is not there, is empty, or holds what is to be replaced.
        marker: name of the file by which what may be replaced is known.
        kind: what that is, for the error: "a saved prompt".
        replaced: names in the folder that go with what it holds; all others, such as the .git of a clone, are
            there afterwards too.

    Raises:
        InputError: if there is something else, one of the others has the name of a new file, or the process
            works in the folder.
    """
    folder = folder.resolve()
    _refuse_current(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.parent):
        restore_folder(folder)
        if folder.exists() and not _is_replaceable(folder, marker):
            raise InputError(
                f"'{folder}' is neither {kind} nor an empty folder, and saving there would delete "
                f"what it holds. Choose another folder."
            )
    sweep(folder.parent)
    partial = _temporary(folder, _ENDING)
    partial.mkdir()
    try:
        yield partial
        for path in partial.iterdir():
            _flush(path)
        with _alone(folder.parent):
            _keep_others(folder, partial, replaced)
            _replace_folder(partial, folder)
        _flush_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def restore_folder(folder: Path) -> None:
    """Put a folder back that was being replaced when its writer was killed, if nothing is in its place.

    Between the two renamings of `replacing_folder` what the folder held has another name.

    Raises:
        InputError: if it cannot be put back.
    """
    folder = folder.resolve()
    replaced = [] if folder.exists() else _abandoned_replaced(folder)
    if not replaced:
        return
    try:
        max(replaced, key=lambda path: path.stat().st_mtime).replace(folder)
    except OSError as error:
        # another process may have put it back
        if not folder.exists():
            raise InputError(
                f"'{folder}' was being replaced when its writer was killed, and what it held is in "
                f"'{replaced[0]}', which cannot be put back: {error.strerror}. Rename it."
            ) from error


def restore_folders(parent: Path) -> None:
    """Put back all folders in a folder as `restore_folder` does one.

    Raises:
        InputError: likewise.
    """
    for name, _ in _all_replaced(parent):
        restore_folder(parent / name)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, all or nothing, as `replacing` does."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file, all or nothing, as `replacing` does; line ends are as given."""
    write_bytes(path, text.encode("utf-8"))


def read_bounded(path: Path, most: int) -> bytes:
    """Read a file, which is neither a device nor a pipe, for those have no end.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        InputError: if it has more, or is something else.
        OSError: if it cannot be read.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise InputError("it is a device or a pipe")
    if status.st_size > most:
        raise InputError(f"it has {status.st_size:,} bytes, but at most {most:,} are read of such a file")
    return path.read_bytes()


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path as users write it with `~` as their home.

    Raises:
        InputError: if no such path can be: `~` of nobody, a name that is too long, a folder that is closed,
            or what is neither a text nor a `Path`.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"{path!r:.200} is no path, which must be a text or a Path. Give the path as one.")
    try:
        result = Path(path).expanduser()
        result.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        raise InputError(f"'{path!s:.200}' is no path that can be read: {reason}.") from error
    return result


def state_of(path: Path) -> tuple[int, ...] | None:
    """Return numbers that are others once the file was written or replaced; None where there is no such file.

    What was read of a file in a state need not be read again.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def temporaries(folder: Path) -> Iterator[Path]:
    """Yield the temporary files and folders in a folder, those of living writers among them."""
    yield from (path for path in folder.glob(f".*{_ENDING}") if _TEMPORARY.fullmatch(path.name))


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders whose writers are dead."""
    for path in filter(_is_abandoned, temporaries(folder)):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _temporary(path: Path, ending: str) -> Path:
    """Return a temporary neighbour of a file or folder, which is no other process's and no other call's."""
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.{next(_numbers)}{ending}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other writers from renaming what a folder holds, where the system locks folders."""
    if os.name != "posix":
        yield
        return
    import fcntl  # noqa: PLC0415

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # some network's folders cannot be locked
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refuse_current(folder: Path) -> None:
    """Refuse to replace a folder that the process, and maybe its shell, would go on in when it is removed.

    Raises:
        InputError: naming it.
    """
    try:
        current = Path.cwd()
    except FileNotFoundError:
        # it was removed before
        return
    if current.is_relative_to(folder):
        raise InputError(
            f"'{folder}' is or holds the current folder, and saving there puts another folder in its place, "
            f"so that the current one would be gone. Save into a folder of its own, as "
            f"'{current / 'saved'}', or call it from elsewhere."
        )


def _is_replaceable(folder: Path, marker: str) -> bool:
    """Say whether another folder may take the folder's place: it is empty, or holds the marker."""
    return folder.is_dir() and ((folder / marker).is_file() or not any(folder.iterdir()))


def _keep_others(folder: Path, new: Path, replaced: Collection[str]) -> None:
    """Have in a new folder what another has under names that are not replaced, by links where there are."""
    others = [path for path in folder.iterdir() if path.name not in replaced] if folder.is_dir() else []
    if taken := sorted(path.name for path in others if (new / path.name).exists()):
        raise InputError(
            f"'{folder}' holds {', '.join(taken)}, which is of something else, and saving there would delete "
            "it. Move it away, or choose another folder."
        )
    for path in others:
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, new / path.name, symlinks=True, copy_function=_link)
        else:
            _link(path, new / path.name)


def _link(source: str | Path, target: str | Path) -> None:
    """Make a file another name of a file; a copy where the file system has one name a file."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _replace_folder(new: Path, folder: Path) -> None:
    """Put a folder in another's place; what was there comes back if that fails."""
    # of another name than temporaries: nothing sweeps it away where only the first of two renamings was done
    old = _temporary(folder, _REPLACED)
    if folder.exists():
        # a writer elsewhere is taken for dead by the age of what it left
        os.utime(folder)
        folder.replace(old)
    try:
        new.replace(folder)
    except OSError:
        if old.exists():
            old.replace(folder)
        raise
    for path in (old, *_abandoned_replaced(folder)):
        shutil.rmtree(path, ignore_errors=True)


def _abandoned_replaced(folder: Path) -> list[Path]:
    """List what dead writers left of a folder that they were replacing."""
    beside = _all_replaced(folder.parent)
    return [path for name, path in beside if name == folder.name and _is_abandoned(path)]


def _all_replaced(parent: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name of each folder that was being replaced in a folder, and where what it held is."""
    for path in parent.glob(f".*{_REPLACED}"):
        if match := _TEMPORARY.fullmatch(path.name):
            yield match["name"], path


def _is_abandoned(path: Path) -> bool:
    writer = _TEMPORARY.fullmatch(path.name)
    try:
        if writer is None or not (path.is_file() or path.is_dir()):
            return False
        if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
            return True
    except FileNotFoundError:
        return False
    return writer["host"] == _HOST and not _lives(int(writer["pid"]))


def _lives(process: int) -> bool:
    try:
        # one that has ended stays known until its parent asks, which some never do
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, OverflowError):
        return False
    except psutil.Error:
        # it is another user's
        return True


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
