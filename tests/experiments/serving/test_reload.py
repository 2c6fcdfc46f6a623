"""Prompts that change while they are served."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from experiments.serving.engine import Job
from experiments.serving.folders import PromptFolders
from experiments.serving.messages import TaskList
from experiments.serving.metrics import Metrics
from experiments.serving.reload import Reloader
from spt.errors import InputError
from spt.serving.saved_prompt import SavedPrompt
from tests.support.classifiers import classifier
from tests.support.serving import TEXTS, asking, close, make_engine


class Shelf:
    """A folder of two prompts, an engine that serves it, and a reloader."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder = home, home / "shelf"
        for name, layers in (("a", (0,)), ("b", (3,))):
            self.save(name, layers)
        self.engine = make_engine(self.folder)
        self.metrics = Metrics()
        self.reloader = Reloader(self.engine, PromptFolders.of([str(self.folder)]), self.metrics)

    def save(self, name: str, layers: tuple[int, ...], seed: int = 0) -> None:
        classifier(self.home, layers, seed=seed).save_pretrained(self.folder / name)

    def layers(self) -> dict[str, tuple[int, ...]]:
        served = self.engine.served.items()
        return {name: tuple(each.classifier.architecture.layers) for name, each in served}

    def reloads(self) -> set[str]:
        lines = self.metrics.as_text().decode().splitlines()
        return {line for line in lines if line.startswith("spt_serve_reloads_total")}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_a_prompt_that_was_saved_anew_takes_the_place_of_the_old_one(shelf: Shelf) -> None:
    version = shelf.engine.served["a"].version
    shelf.reloader.look()
    assert shelf.reloads() == set()
    shelf.save("a", (1, 2))
    shelf.reloader.look()
    assert shelf.layers() == {"a": (1, 2), "b": (3,)}
    assert shelf.engine.served["a"].version != version
    assert shelf.reloads() == {'spt_serve_reloads_total{result="served",task="a"} 1.0'}


@pytest.mark.parametrize("damage", ["cut", "digest", "json", "missing"])
def test_a_damaged_version_is_refused_once_and_the_old_one_goes_on(
    damage: str, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    weights, description = shelf.folder / "a" / "prompt.safetensors", shelf.folder / "a" / "prompt.json"
    before = shelf.engine.served["a"]
    if damage == "missing":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-8])
    elif damage == "json":
        description.write_text("{", encoding="utf-8")
    else:
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        shelf.reloader.look()
        shelf.reloader.look()
    assert shelf.engine.served["a"] is before
    refused = [record.getMessage() for record in caplog.records]
    if damage == "missing":
        # a copy may be on its way
        assert refused == [] and shelf.reloads() == set()
    else:
        assert len(refused) == 1 and "stays as it was: its new version is refused" in refused[0]
        assert shelf.reloads() == {'spt_serve_reloads_total{result="refused",task="a"} 1.0'}
    shelf.save("a", (2,))
    shelf.reloader.look()
    assert shelf.layers() == {"a": (2,), "b": (3,)}


def test_prompts_come_and_go_with_their_folders_but_not_the_last(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.save("c", (1,))
    shelf.reloader.look()
    assert shelf.layers() == {"a": (0,), "b": (3,), "c": (1,)}
    for name in "ac":
        shutil.rmtree(shelf.folder / name)
    shelf.reloader.look()
    # it may have been saved anew, and be away for a moment
    assert shelf.layers().keys() == {"a", "b", "c"}
    shelf.reloader.look()
    assert shelf.layers() == {"b": (3,)}
    shutil.rmtree(shelf.folder / "b")
    for _ in range(3):
        shelf.reloader.look()
    assert shelf.layers() == {"b": (3,)} and "it is the last one and stays" in caplog.text


@pytest.mark.parametrize("closed", ["b", "."])
def test_a_closed_folder_is_told_once_and_ends_neither_the_looks_nor_what_is_served(
    closed: str, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = shelf.layers()
    with monkeypatch.context() as patch:
        close(shelf.folder / closed, patch)
        if closed == "b":
            shelf.save("a", (1, 2))
            before["a"] = (1, 2)
        for _ in range(3):
            shelf.reloader.look()
        (refused,) = shelf.reloader.refused
        assert (refused.path, refused.reason) == (
            shelf.folder / closed,
            "It cannot be read: Permission denied.",
        )
        (told,) = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert str(shelf.folder / closed) in told.getMessage()
        assert shelf.layers() == before
    shelf.save("b", (1,))
    shelf.reloader.look()
    assert shelf.layers() == {**before, "b": (1,)} and shelf.reloader.refused == ()


def test_of_two_folders_of_one_name_the_first_stays_and_the_other_is_told(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    second = shelf.home / "second"
    classifier(shelf.home, (2,)).save_pretrained(second / "c")
    reloader = Reloader(shelf.engine, PromptFolders.of([str(second), str(shelf.folder)]), shelf.metrics)
    reloader.look()
    # it comes first in the order of the shelves, but later than what is served
    classifier(shelf.home, (1,)).save_pretrained(second / "a")
    version = shelf.engine.served["a"].version
    for _ in range(3):
        reloader.look()
    assert shelf.layers() == {"a": (0,), "b": (3,), "c": (2,)}
    assert shelf.engine.served["a"].version == version
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"'{second / 'a'}' is not served" in told and f"'{shelf.folder / 'a'}'" in told
    (refused,) = reloader.refused
    assert (refused.name, refused.short_path) == ("a", "second/a") and "'shelf/a'" in refused.reason
    assert 'spt_serve_reloads_total{result="refused",task="a"} 1.0' in shelf.reloads()
    # the name is free once the folder that had it was missing twice
    shutil.rmtree(shelf.folder / "a")
    reloader.look()
    assert shelf.layers()["a"] == (0,)
    reloader.look()
    assert shelf.layers() == {"a": (1,), "b": (3,), "c": (2,)} and reloader.refused == ()
    # and whoever comes back finds it taken
    shelf.save("a", (0,))
    reloader.look()
    assert shelf.layers()["a"] == (1,) and [each.path for each in reloader.refused] == [shelf.folder / "a"]


def test_two_folders_of_a_free_name_are_served_by_their_order_and_by_one_at_a_time(shelf: Shelf) -> None:
    shelves = [shelf.home / name for name in ("second", "third")]
    for number, folder in enumerate(shelves):
        classifier(shelf.home, (1,)).save_pretrained(folder / f"own{number}")
    reloader = Reloader(
        shelf.engine, PromptFolders.of([str(shelf.folder), *map(str, shelves)]), shelf.metrics
    )
    for layers, folder in zip(((1,), (2,)), shelves, strict=True):
        classifier(shelf.home, layers).save_pretrained(folder / "a")
    shutil.rmtree(shelf.folder / "a")
    for _ in range(3):
        reloader.look()
    assert shelf.layers()["a"] == (1,) and [each.path for each in reloader.refused] == [shelves[1] / "a"]
    lines = [line for line in shelf.reloads() if 'result="served",task="a"' in line]
    assert lines == ['spt_serve_reloads_total{result="served",task="a"} 1.0']


def test_a_version_saved_between_the_start_and_the_first_look_is_served(shelf: Shelf) -> None:
    shelf.save("a", (1, 2))
    reloader = Reloader(shelf.engine, PromptFolders.of([str(shelf.folder)]), shelf.metrics)
    reloader.look()
    assert shelf.layers() == {"a": (1, 2), "b": (3,)}


def test_an_error_that_nobody_thought_of_ends_no_look(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("surprise")

    with monkeypatch.context() as patch:
        patch.setattr(SavedPrompt, "read", fail)
        shelf.save("a", (1, 2))
        shelf.save("new", (1,))
        shelf.reloader.look()
    assert shelf.layers() == {"a": (0,), "b": (3,)}
    assert {each.name for each in shelf.reloader.refused} == {"a", "new"}
    assert "The prompt new is not served" in caplog.text and "Traceback" in caplog.text


@pytest.mark.parametrize(
    "fault", [PermissionError(13, "Permission denied"), MemoryError(), torch.OutOfMemoryError("CUDA")]
)
def test_a_fault_that_may_pass_is_told_once_and_the_same_files_are_read_again(
    fault: Exception, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Path) -> None:
        raise InputError("is not a saved prompt") from fault

    shelf.save("a", (1, 2))
    with monkeypatch.context() as patch:
        patch.setattr(SavedPrompt, "read", fail)
        for _ in range(3):
            shelf.reloader.look()
    assert shelf.layers()["a"] == (0,) and [each.name for each in shelf.reloader.refused] == ["a"]
    assert shelf.reloads() == {'spt_serve_reloads_total{result="refused",task="a"} 1.0'}
    assert caplog.text.count("its new version is refused") == 1
    shelf.reloader.look()
    assert shelf.layers()["a"] == (1, 2) and shelf.reloader.refused == ()


def test_files_that_are_wrong_themselves_are_read_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def fail(folder: Path) -> None:
        read.append(folder)
        raise InputError("is damaged")

    monkeypatch.setattr(SavedPrompt, "read", fail)
    shelf.save("a", (1, 2))
    for _ in range(3):
        shelf.reloader.look()
    assert read == [shelf.folder / "a"]


def test_answers_do_not_wait_for_the_files_of_a_new_version(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = SavedPrompt.read

    def answered_meanwhile(folder: Path) -> SavedPrompt:
        job = Job(tuple(TEXTS), None, ("a",), shelf.engine.prompts)
        (content,) = shelf.engine.submit(shelf.engine.answer, [job]).result(timeout=10)
        answered.append(content)
        return read(folder)

    answered: list[object] = []
    monkeypatch.setattr(SavedPrompt, "read", answered_meanwhile)
    shelf.save("a", (1, 2))
    shelf.reloader.look()
    assert len(answered) == 1 and shelf.layers()["a"] == (1, 2)


@pytest.mark.parametrize("change", ["removed", "replaced"])
def test_a_request_ends_with_the_prompts_that_it_began_with(shelf: Shelf, change: str) -> None:
    prompts = shelf.engine.prompts
    begun = Job(tuple(TEXTS), None, ("a", "b"), prompts)
    (before,) = shelf.engine.answer([begun])
    if change == "removed":
        shutil.rmtree(shelf.folder / "b")
        shelf.reloader.look()
    else:
        shelf.save("b", (1, 2), seed=1)
    shelf.reloader.look()
    assert shelf.engine.prompts != prompts
    later = Job(tuple(TEXTS), None, tuple(shelf.engine.served), shelf.engine.prompts)
    first, second, last = shelf.engine.answer([begun, later, begun])
    assert first == last == before
    assert isinstance(second, dict) and second["versions"] != first["versions"]


def test_what_is_refused_stands_beside_the_tasks_and_in_the_metrics(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conversation() -> None:
        async with asking(shelf.engine, shelf.folder, reload_seconds=0.01) as client:
            assert (await client.get("/v1/tasks")).json()["refused"] == []
            with monkeypatch.context() as patch:
                close(shelf.folder / "b", patch)
                (shelf.folder / "a" / "prompt.json").write_text("{", encoding="utf-8")
                await asyncio.sleep(0.3)
                content = TaskList.model_validate((await client.get("/v1/tasks")).json())
                metrics = (await client.get("/metrics")).text
                assert (await client.get("/health")).status_code == 200
        reasons = {each.folder: each.reason for each in content.refused}
        assert reasons.keys() == {"shelf/a", "shelf/b"}
        assert "cannot be read: Permission denied" in reasons["shelf/b"]
        # who asks is told no place on the disk
        assert str(shelf.home) not in content.model_dump_json()
        assert "spt_serve_refused_folders 2.0" in metrics and "spt_serve_tasks 2.0" in metrics

    asyncio.run(conversation())


def test_a_prompt_that_was_named_stays_without_its_folder(shelf: Shelf) -> None:
    folders = PromptFolders.of([str(shelf.folder / "a"), str(shelf.folder / "b")])
    reloader = Reloader(shelf.engine, folders, shelf.metrics)
    shutil.rmtree(shelf.folder / "a")
    for _ in range(3):
        reloader.look()
    assert shelf.layers() == {"a": (0,), "b": (3,)}


def test_every_answer_is_of_the_version_that_it_names_while_prompts_change(shelf: Shelf) -> None:
    answers = {}
    for layers in ((0,), (1, 2)):
        shelf.save("a", layers)
        shelf.reloader.look()
        answers[shelf.engine.served["a"].version] = shelf.engine.served["a"].classifier.predict_proba(TEXTS)

    async def ask_again_and_again(client: httpx.AsyncClient, seen: set[str]) -> None:
        while len(seen) < 2:
            content = (await client.post("/v1/label", json={"texts": TEXTS, "probabilities": "all"})).json()
            rows = [list(answer["a"]["probabilities"].values()) for answer in content["answers"]]
            version = content["versions"]["a"]
            np.testing.assert_allclose(rows, answers[version], atol=1e-5)
            seen.add(version)

    async def conversation() -> None:
        async with asking(shelf.engine, shelf.folder, reload_seconds=0.01) as client:
            seen: set[str] = set()
            asked = [asyncio.create_task(ask_again_and_again(client, seen)) for _ in range(4)]
            await asyncio.sleep(0.2)
            await asyncio.to_thread(shelf.save, "a", (0,))
            await asyncio.wait_for(asyncio.gather(*asked), 20)

    asyncio.run(conversation())
