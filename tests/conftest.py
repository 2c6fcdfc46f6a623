"""Settings of every test: no network, one thread, and which tests go to the same process."""

import logging
import os
from collections.abc import Iterator

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# beside the other processes of the tests, Ray's workers would get next to nothing at its own 15
os.environ.setdefault("RAY_worker_niceness", "0")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Undo what a command that a test calls in its process sets for the whole of it."""
    rooms = [logging.getLogger(name) for name in ("spt", "experiments")]
    levels, disabled = [room.level for room in rooms], logging.root.manager.disable
    yield
    logging.disable(disabled)
    for room, level in zip(rooms, levels, strict=True):
        room.setLevel(level)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no report of a run, which takes longer than the run itself."""
    monkeypatch.setattr("experiments.pipeline.write_run_report", lambda *_: None)


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one process, those that start Ray in one, and NNI's, so that they take turns."""
    for item in items:
        names = {mark.name for mark in item.iter_markers()}
        group = next((service for service in ("ray", "nni") if service in names), str(item.path))
        item.add_marker(pytest.mark.xdist_group(group))
