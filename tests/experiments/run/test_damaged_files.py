"""A run folder with a file cut, emptied, garbled or gone: refused by the file's name, or the same result."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import pipeline
from experiments.config import RunConfig
from spt.errors import InputError
from spt.storage import files
from tests.support.searches import config, timeless

pytestmark = pytest.mark.usefixtures("no_report")


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def garble(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\xff#[" + content[len(content) // 2 + 3 :])


def put_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": cut,
    "emptied": lambda path: path.write_bytes(b""),
    "garbled": garble,
    "deleted": lambda path: path.unlink(),
    "a folder": put_a_folder,
}
# file -> what is deleted for the run to read it again
READ_AGAIN = {
    "spt_darts": {
        "config.yml": ["metrics.json"],
        "inputs.json": ["metrics.json"],
        "ledger.json": ["metrics.json"],
        "architecture.json": ["metrics.json", "train/train.json"],
        "search/search.json": ["metrics.json"],
        "search/inherited.safetensors": ["metrics.json", "train"],
        "search/gates.jsonl": ["metrics.json"],
        "search/history.jsonl": ["metrics.json"],
        "search/last.ckpt": ["metrics.json", "search/search.json", "architecture.json", "train"],
        "train/history.jsonl": ["metrics.json"],
        "train/train.json": ["metrics.json"],
        "model/prompt.json": ["metrics.json"],
        "model/prompt.safetensors": ["metrics.json"],
        "metrics.json": [],
    },
    "random": {
        "search/candidates.jsonl": ["metrics.json", "search/search.json", "architecture.json", "train"],
        "ledger.json": ["metrics.json", "search/search.json", "architecture.json", "train"],
    },
    # stopped in its training's second epoch of three
    "stopped": {"train/last.ckpt": [], "train/best.ckpt": [], "train/history.jsonl": []},
}
CASES = [(strategy, name) for strategy, names in READ_AGAIN.items() for name in names]
Undisturbed = tuple[RunConfig, Path, dict[str, Any]]


def stop_in_the_second_epoch(stage: str, epoch: int, _dev: float) -> None:
    if (stage, epoch) == ("train", 1):
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Undisturbed]:
    """Run each strategy undisturbed: its configuration, folder and result."""
    home = tmp_path_factory.mktemp("damage")
    undisturbed = {}
    for strategy in ("spt_darts", "random"):
        search = {"inherit": True} if strategy == "spt_darts" else {}
        chosen = config(home, strategy, search=search)
        result = pipeline.run(chosen, home / strategy)
        undisturbed[strategy] = chosen, home / strategy, timeless(result.as_json())
    chosen = config(home, "manual", training={"epochs": 3})
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        pipeline.run(chosen, home / "stopped", stop_in_the_second_epoch)
    whole = pipeline.run(chosen, home / "whole")
    undisturbed["stopped"] = chosen, home / "stopped", timeless(whole.as_json())
    return undisturbed


def copy_of(undisturbed: Path, folder: Path, without: list[str]) -> Path:
    shutil.copytree(undisturbed, folder)
    for path in (folder / gone for gone in without):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(("strategy", "name"), CASES, ids=[f"{s}-{n}" for s, n in CASES])
def test_a_damaged_file_is_refused_by_its_name_or_made_good(
    strategy: str, name: str, damage: str, runs: Any, tmp_path: Path
) -> None:
    chosen, undisturbed, expected = runs[strategy]
    folder = copy_of(undisturbed, tmp_path / "run", READ_AGAIN[strategy][name])
    path = folder / name
    DAMAGE[damage](path)
    try:
        result = pipeline.run(chosen, folder)
    except InputError as error:
        # half a config.yml may be the whole one of another run
        assert (path.name in str(error)) or (name == "config.yml" and f"'{folder}'" in str(error))
        assert re.search("elete|estore|another folder|ove the folder away", str(error))
    else:
        assert timeless(result.as_json()) == expected


def test_a_run_whose_folder_is_deleted_meanwhile_names_it_and_gives_no_result(
    runs: Any, tmp_path: Path
) -> None:
    chosen, _, _ = runs["stopped"]
    folder = tmp_path / "run"

    def delete(*_: Any) -> None:
        shutil.rmtree(folder)

    with pytest.raises((OSError, InputError), match=str(folder)):
        pipeline.run(chosen, folder, delete)
    assert not (folder / "metrics.json").exists()


class FullDisk:
    """Has room for so many writes, and then for none."""

    def __init__(self, writes: int) -> None:
        self.writes = writes

    def fsync(self, descriptor: int) -> None:
        self.writes -= 1
        if self.writes < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("writes", [0, 4, 11, 19])
def test_a_full_disk_ends_the_run_and_the_same_command_ends_as_undisturbed(
    writes: int, runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, _, expected = runs["random"]
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", FullDisk(writes).fsync)
        with pytest.raises(OSError, match="No space left"):
            pipeline.run(chosen, folder)
    assert list(folder.rglob("*.partial")) == [] and not (folder / "metrics.json").exists()
    assert timeless(pipeline.run(chosen, folder).as_json()) == expected


def test_a_cache_that_cannot_be_written_is_left_out_with_a_warning(
    runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cached = runs["stopped"][0].model_copy(update={"cache": "auto"})
    results = []
    for name in ("writable", "not"):
        monkeypatch.setenv("SPT_CACHE", str(tmp_path / name))
        if name == "not":
            # a folder cannot be made where a file is, whoever asks for it
            (tmp_path / name).touch()
        with caplog.at_level(logging.WARNING):
            results.append(timeless(pipeline.run(cached, tmp_path / f"run-{name}").as_json()))
        assert ("cannot be used" in caplog.text) == (name == "not")
    assert results[0] == results[1]


def test_a_checkpoint_that_a_kill_left_after_the_training_is_removed(runs: Any, tmp_path: Path) -> None:
    chosen, undisturbed, expected = runs["random"]
    folder = copy_of(undisturbed, tmp_path / "run", ["metrics.json"])
    (folder / "train" / "last.ckpt").touch()
    assert timeless(pipeline.run(chosen, folder).as_json()) == expected
    assert not (folder / "train" / "last.ckpt").exists()
