"""Prompts that change on the disk while they are served: each is read whole, and then takes its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from experiments.serving.engine import Engine
from experiments.serving.folders import PromptFolder, PromptFolders
from experiments.serving.metrics import Metrics
from spt.errors import InputError
from spt.files import state_of
from spt.serving.saved_prompt import PROMPT_JSON, WEIGHTS

log = logging.getLogger(__name__)

# of the files of a prompt; None for those that are not there
State = tuple[tuple[int, ...] | None, ...]


class Reloader:
    """Bring the prompts of an engine up to what their folders hold.

    A version that cannot be read is refused, and the one before it goes on. A prompt of a shelf whose folder
    was missing twice is removed; one that was named when the server began stays.

    Args:
        engine: that serves them.
        folders: that are looked at.
        metrics: are told of each change.
    """

    def __init__(self, engine: Engine, folders: PromptFolders, metrics: Metrics) -> None:
        self._engine = engine
        self._folders = folders
        self._metrics = metrics
        self._states = {folder.name: _state(folder) for folder in folders.current()}
        self._missing: set[str] = set()

    async def run(self, seconds: float) -> None:
        """Look again and again, in a thread of its own, until this is cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Look once: read what is new or changed, and remove what is gone."""
        folders = self._folders.current()
        for folder in folders:
            state = _state(folder)
            if None not in state and state != self._states.get(folder.name):
                self._states[folder.name] = state
                self._reload(folder)
        self._remove_missing(folders)

    def _reload(self, folder: PromptFolder) -> None:
        try:
            self._engine.submit(self._engine.put, folder).result()
        except (InputError, OSError, MemoryError, RuntimeError) as error:
            # faults of the machine pass, and the next version may be whole
            log.warning("The prompt %s stays as it was: its new version is refused. %s", folder.name, error)
            self._metrics.reloads.labels(folder.name, "refused").inc()
            return
        version = self._engine.served[folder.name].version
        log.info("The prompt %s is now that of version %.12s", folder.name, version)
        self._metrics.reloads.labels(folder.name, "served").inc()

    def _remove_missing(self, folders: Iterable[PromptFolder]) -> None:
        missing = self._engine.served.keys() - {folder.name for folder in folders}
        # while a prompt is saved anew, its folder is not there for a moment
        for name in sorted(missing & self._missing):
            if len(self._engine.served) == 1:
                log.warning("The folder of the prompt %s is gone, but it is the last one and stays", name)
                continue
            self._engine.submit(self._engine.remove, name).result()
            self._states.pop(name, None)
            log.info("The prompt %s is gone with its folder", name)
            self._metrics.reloads.labels(name, "removed").inc()
        self._missing = missing


def _state(folder: PromptFolder) -> State:
    return tuple(state_of(folder.path / name) for name in (PROMPT_JSON, WEIGHTS))
