"""Prompts that change on the disk while they are served: each is read whole, and then takes its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from experiments.serving.engine import Engine, PromptFiles
from experiments.serving.folders import FolderListing, PromptFolder, PromptFolders, State, UnreadableFolder
from experiments.serving.metrics import Metrics
from spt.errors import InputError, causes

# what is none of the files' own: a mode, a disk, or memory that others have filled
PASSING = (OSError, MemoryError, torch.OutOfMemoryError)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RefusedFolder:
    """Describe a folder that is not served as it is now.

    Attributes:
        path: of the folder.
        name: of the task that it would be, or is in the version before.
        reason: for who asks the server: a sentence that tells no place on the disk.
        log_text: for who looks after it: what goes on instead, and the places.
        may_pass: whether the same files may be read well another time.
    """

    path: Path
    name: str
    reason: str
    log_text: str
    may_pass: bool = False

    @property
    def short_path(self) -> str:
        """Return the folder's name after that of the folder that holds it."""
        return _short(self.path)

    @classmethod
    def unreadable(cls, folder: UnreadableFolder) -> RefusedFolder:
        """Refuse a folder of which it cannot be told what it holds."""
        return cls(
            folder.path,
            folder.name,
            f"It cannot be read: {folder.reason}.",
            f"The folder '{folder.path}' cannot be read, and what was served of it goes on as it was: "
            f"{folder.reason}. Mend its mode.",
        )

    @classmethod
    def of_a_served_name(cls, folder: PromptFolder, served: PromptFolder) -> RefusedFolder:
        """Refuse a folder whose name another one has, which is served."""
        return cls(
            folder.path,
            folder.name,
            f"Its name is that of '{_short(served.path)}', which is served.",
            f"The prompt in '{folder.path}' is not served: its name is {folder.name}, as that of "
            f"'{served.path}', which is served and stays. Rename one of the two folders.",
        )

    @classmethod
    def damaged(cls, folder: PromptFolder, error: Exception, *, stays: bool) -> RefusedFolder:
        """Refuse a version that cannot be read, where the one before stays or there is none."""
        consequence = (
            "stays as it was: its new version is refused" if stays else "is not served: it is refused"
        )
        return cls(
            folder.path,
            folder.name,
            "Its version on the disk is refused. The log of the server says why.",
            f"The prompt {folder.name} {consequence}. {error}",
            may_pass=any(isinstance(cause, PASSING) for cause in causes(error)),
        )

    @classmethod
    def last(cls, folder: PromptFolder) -> RefusedFolder:
        """Report that the last prompt stays without its folder."""
        return cls(
            folder.path,
            folder.name,
            "Its folder is gone, but it is the last prompt and stays.",
            f"The folder of the prompt {folder.name} is gone, but it is the last one and stays",
        )


class _Tried(NamedTuple):
    """Note the state in which a folder was read, and the refusal of it; None where it is served."""

    state: State
    refused: RefusedFolder | None

    def is_final(self, state: State) -> bool:
        """Say whether there is nothing more to learn of a folder in a state."""
        return self.state == state and (self.refused is None or not self.refused.may_pass)


class Reloader:
    """Bring the prompts of an engine up to what their folders hold.

    A version that cannot be read is refused, and the one before it goes on; it is read again once its files
    have changed, or at every look where the fault may pass. Of two folders of one name that
    stays which was served first. A prompt of a shelf whose folder was missing twice is removed; one that was
    named when the server began stays, and so does one whose folder is there and cannot be read.

    Args:
        engine: that serves them.
        folders: that are looked at.
        metrics: are told of each change.

    Attributes:
        refused: the folders that the last look found and that are not served as they are.
    """

    def __init__(self, engine: Engine, folders: PromptFolders, metrics: Metrics) -> None:
        self._engine = engine
        self._folders = folders
        self._metrics = metrics
        # as the engine read them: what was saved since then is new
        self._tried = {served.folder: _Tried(served.state, None) for served in engine.served.values()}
        self._missing: set[PromptFolder] = set()
        self.refused: tuple[RefusedFolder, ...] = ()

    async def run(self, seconds: float) -> None:
        """Look again and again, in a thread of its own, until this is cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Look once: read what is new or changed, remove what is gone, and note what is refused."""
        listing = self._folders.current()
        missing = self._find_missing(listing)
        # while a prompt is saved anew, its folder is not there for a moment
        gone = missing & self._missing
        refused = [RefusedFolder.unreadable(each) for each in listing.unreadable]
        for folder in listing.prompts:
            served = self._engine.served.get(folder.name)
            if served is None or served.folder.path == folder.path or served.folder in gone:
                self._read_if_changed(folder)
            else:
                refused.append(RefusedFolder.of_a_served_name(folder, served.folder))
        refused += self._remove(gone)
        self._missing = missing
        self._forget_absent(listing)
        self._report(refused)

    def _find_missing(self, listing: FolderListing) -> set[PromptFolder]:
        """Find what is served without its folder; whether that is there nobody knows of what is closed."""
        there = {folder.path for folder in listing.prompts}
        served = {each.folder for each in self._engine.served.values()}
        return {folder for folder in served if folder.path not in there and not listing.is_closed(folder)}

    def _read_if_changed(self, folder: PromptFolder) -> None:
        state, tried = folder.state(), self._tried.get(folder)
        # a copy whose weights are not there yet may be on its way
        if None not in state and (tried is None or not tried.is_final(state)):
            before = tried.refused if tried is not None and tried.state == state else None
            self._tried[folder] = _Tried(state, self._reload(folder, before))

    def _reload(self, folder: PromptFolder, before: RefusedFolder | None) -> RefusedFolder | None:
        """Read a prompt and serve it, or return why it is refused; what is told is news since before."""
        try:
            # here, so that no answer waits for large files
            files = PromptFiles.read(folder)
            self._engine.submit(self._engine.put, files).result()
        except Exception as error:  # whatever is wrong with one folder, the others are looked at again
            refused = RefusedFolder.damaged(folder, error, stays=folder.name in self._engine.served)
            if refused == before:
                return refused
            # faults of the machine pass, and the next version may be whole
            is_known = isinstance(error, InputError | OSError | MemoryError | RuntimeError)
            log.warning(refused.log_text, exc_info=None if is_known else error)
            self._metrics.reloads.labels(folder.name, "refused").inc()
            return refused
        version = self._engine.served[folder.name].version
        log.info("The prompt %s is now that of version %.12s", folder.name, version)
        self._metrics.reloads.labels(folder.name, "served").inc()
        return None

    def _remove(self, folders: Iterable[PromptFolder]) -> list[RefusedFolder]:
        """Remove the prompts of folders that are gone, but never the last one, which is returned."""
        # another folder may have taken the name
        left = {each.folder for each in self._engine.served.values()} & {*folders}
        for folder in sorted(left, key=lambda folder: folder.name):
            if len(self._engine.served) == 1:
                return [RefusedFolder.last(folder)]
            self._engine.submit(self._engine.remove, folder.name).result()
            log.info("The prompt %s is gone with its folder", folder.name)
            self._metrics.reloads.labels(folder.name, "removed").inc()
        return []

    def _forget_absent(self, listing: FolderListing) -> None:
        """Forget states of folders that are gone: one that comes back is read, in whatever state."""
        there = {*listing.prompts}
        self._tried = {
            folder: tried
            for folder, tried in self._tried.items()
            if folder in there or listing.is_closed(folder)
        }

    def _report(self, refused: list[RefusedFolder]) -> None:
        """Note what is refused, and log what was not so the last time; damage is logged where it is read."""
        for each in refused:
            if each not in self.refused:
                log.warning(each.log_text)
                self._metrics.reloads.labels(each.name, "refused").inc()
        paths = {each.path for each in refused}
        damaged = [tried.refused for tried in self._tried.values() if tried.refused is not None]
        self.refused = (*refused, *(each for each in damaged if each.path not in paths))


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
