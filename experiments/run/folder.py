"""The folder of one run: where everything is, who holds it, and whose configuration it is of."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from filelock import FileLock, Timeout

from experiments.config import RunConfig, from_stored
from experiments.keys import leaves
from experiments.paths import is_moved
from experiments.run.lock import is_held
from spt.errors import InputError, TrialFailed
from spt.process.provenance import Provenance, torch_threads
from spt.storage.files import state_of, write_text
from spt.storage.yaml_files import read_yaml
from strategies.options import EvolutionOptions, ManualOptions, OneShotOptions

LOCK = ".lock"
# of a training, the search's among them: a line for each epoch
HISTORY = "history.jsonl"
# of a search: gates and candidates line by line, and the weights with which the retraining begins
GATES, CANDIDATES, INHERITED = "gates.jsonl", "candidates.jsonl", "inherited.safetensors"
# workers of a command that was killed take a moment to end
GRACE_SECONDS = 3.0
# keys that a run may go on with changed: its numbers do not depend on them, but for the last bits, which
# threads, device and engine may change
CHANGEABLE = ("name", "threads", "device", "baselines", "loggers", "search.engine")
# which states are kept decides what operations a run is charged, and with a budget what it tries; digests of
# stored results are older than these keys' part in them, and stay the same at the defaults
KEEPING = {key: RunConfig.model_fields[key].default for key in ("cache", "cache_gb")}


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Args:
        path: made when it is claimed.
    """

    path: Path

    @property
    def search(self) -> Path:
        """Return the folder of what the search keeps."""
        return self.path / "search"

    @property
    def train(self) -> Path:
        """Return the folder of what the retraining keeps."""
        return self.path / "train"

    @property
    def model(self) -> Path:
        """Return the folder of the saved prompt."""
        return self.path / "model"

    @property
    def architecture(self) -> Path:
        """Return the file of the layers that were chosen."""
        return self.path / "architecture.json"

    @property
    def search_result(self) -> Path:
        """Return the file of what the search found."""
        return self.search / "search.json"

    @property
    def training_result(self) -> Path:
        """Return the file of what the retraining gave."""
        return self.train / "train.json"

    @property
    def inherited(self) -> Path:
        """Return the file of the weights with which the retraining begins, if the search left some."""
        return self.search / INHERITED

    @property
    def gates(self) -> Path:
        """Return the file of the gates along the search, if it learns some."""
        return self.search / GATES

    @property
    def candidates(self) -> Path:
        """Return the file of the candidates that the search has tried, if it trains some."""
        return self.search / CANDIDATES

    @property
    def inputs(self) -> Path:
        """Return the file of the digests of what the run works on."""
        return self.path / "inputs.json"

    @property
    def ledger(self) -> Path:
        """Return the file of what was spent."""
        return self.path / "ledger.json"

    @property
    def error_analysis(self) -> Path:
        """Return the file of what the report shows of the answers to test."""
        return self.path / "error_analysis.json"

    @property
    def nearest_words(self) -> Path:
        """Return the file of the words that a free prompt at the input is nearest to."""
        return self.path / "nearest_words.json"

    @property
    def metrics(self) -> Path:
        """Return the file of the scores, which is written last."""
        return self.path / "metrics.json"

    @property
    def failure(self) -> Path:
        """Return the file of why the training failed, which the next attempt removes."""
        return self.path / "failure.txt"

    @property
    def in_use(self) -> bool:
        """Say whether a process holds the folder now."""
        return is_held(self.path / LOCK)

    def check(self, config: RunConfig) -> None:
        """Refuse a folder that holds a run of another configuration.

        Raises:
            InputError: naming the keys that differ, or for a config.yml that no run wrote.
        """
        path = self.path / "config.yml"
        if not path.exists():
            return
        stored = stored_config(self.path)
        if stored is None:
            raise InputError(
                f"The run folder '{self.path}' holds a config.yml that no run wrote. Choose another folder."
            )
        changed = _differences(_numbers(stored), _numbers(config))
        if changed:
            raise InputError(
                f"The run folder '{self.path}' holds a run of another config (different: "
                f"{', '.join(changed)}). {_to_go_on(stored, changed)}Choose another folder, or delete this "
                "one."
            )

    def check_complete(self, config: RunConfig) -> None:
        """Refuse a folder that lacks what the files that are there rest on: a run would go on without it.

        Raises:
            InputError: naming the file.
        """
        searched = self.search_result.exists() and not isinstance(config.search, ManualOptions)
        inherits = isinstance(config.search, OneShotOptions) and config.search.inherit
        needed = {
            self.path / "config.yml": self.inputs.exists(),
            self.ledger: searched or self.training_result.exists(),
            self.inherited: searched and inherits and not self.training_result.exists(),
        }
        for path, is_needed in needed.items():
            if is_needed and not path.exists():
                raise InputError(
                    f"'{path}' is missing, but the run was further than that. Restore it, delete the run's "
                    "folder and run it again, or choose another folder."
                )

    @contextmanager
    def claimed(self, config: RunConfig) -> Iterator[None]:
        """Hold the folder against other processes, and write config.yml if it is not there.

        What a failed training says is left in failure.txt, for those who list runs.

        Raises:
            InputError: if the folder cannot be made, is in use, or holds a run of another configuration.
        """
        lock = FileLock(self.path / LOCK, timeout=GRACE_SECONDS)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            held = lock.acquire()
        except Timeout as error:
            raise InputError(
                f"The run folder '{self.path}' is in use by another process. Wait for it, or choose another."
            ) from error
        except OSError as error:
            raise InputError(
                f"The run folder '{self.path}' cannot be made ({error}). Choose another."
            ) from error
        with held:
            self.check(config)
            path = self.path / "config.yml"
            if path.exists():
                self._warn_of_threads()
            else:
                content = {"run": config.model_dump(mode="json"), **Provenance.now().as_json()}
                write_text(path, yaml.safe_dump(content, sort_keys=False))
            self.failure.unlink(missing_ok=True)
            try:
                yield
            except TrialFailed as error:
                write_text(self.failure, f"{error}\n")
                raise

    def _warn_of_threads(self) -> None:
        """Say that a run which goes on with another number of threads may end with other last bits."""
        stored, now = _stored(self.path), torch_threads()
        if stored is not None and stored.threads not in (None, now):
            log.warning(
                "the run in '%s' began with %d torch threads and goes on with %d: sums are taken in another "
                "order, so that the last bits of its numbers may differ from those of a run that was not "
                "stopped; set threads to %d for the same ones",
                self.path,
                stored.threads,
                now,
                stored.threads,
            )


def stored_config(folder: Path) -> RunConfig | None:
    """Return the configuration of the run in a folder; None where there is none that this version reads."""
    stored = _stored(folder)
    return None if stored is None else stored.config


class StoredRun(NamedTuple):
    """Hold what a config.yml says: the run's configuration, and the torch threads that it began with."""

    config: RunConfig
    threads: int | None


def _stored(folder: Path) -> StoredRun | None:
    path = folder / "config.yml"
    return _read_stored(path, state_of(path))


@lru_cache(maxsize=2048)
def _read_stored(path: Path, state: tuple[int, ...] | None) -> StoredRun | None:  # noqa: ARG001
    """Read a config.yml once in each of its states: a comparison asks for those of all its runs twice."""
    try:
        content = read_yaml(path, "config")
        config, machine = from_stored(content["run"]), content.get("machine")
        threads = machine.get("threads") if isinstance(machine, Mapping) else None
        return StoredRun(config, threads if isinstance(threads, int) else None)
    except (ValueError, AttributeError, KeyError, TypeError):
        return None


def same_numbers(first: RunConfig, second: RunConfig) -> bool:
    """Say whether two configurations give the same numbers."""
    return not _differences(_numbers(first), _numbers(second))


def numbers_of(config: RunConfig) -> str:
    """Return all that decides the numbers of a run, as text that is the same for the same numbers."""
    return repr(sorted(_numbers(config).items()))


def _numbers(config: RunConfig) -> dict[str, Any]:
    """Return the dotted keys that decide the numbers of a run; those of kept states but for their defaults.

    Only `auto` asks how much room there is: `off` keeps nothing, and `disk` everything, or there is no run.
    """
    values = leaves(config.model_dump(mode="json"))
    unread = {"cache_gb"} if config.cache != "auto" else set()
    return {
        key: value
        for key, value in values.items()
        if not _changeable(key) and key not in unread and (key not in KEEPING or value != KEEPING[key])
    }


def _to_go_on(stored: RunConfig, changed: list[str]) -> str:
    """Say what to set where only a default is another, which follows from an engine that may change."""
    if changed != ["search.concurrent"] or not isinstance(stored.search, EvolutionOptions):
        return ""
    return (
        f"Set search.concurrent={stored.search.concurrent} to go on here (by default it follows from "
        "search.engine.kind). "
    )


def _changeable(key: str) -> bool:
    return any(key == changeable or key.startswith(f"{changeable}.") for changeable in CHANGEABLE)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values differ, but for files and folders that were moved since."""
    return sorted(
        key
        for key in before.keys() | now.keys()
        if before.get(key) != now.get(key) and not is_moved(key, before.get(key), now.get(key))
    )
