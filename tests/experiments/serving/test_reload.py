"""Prompts that change while they are served."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import httpx
import numpy as np
import pytest

from experiments.serving.folders import PromptFolders
from experiments.serving.metrics import Metrics
from experiments.serving.reload import Reloader
from tests.support.classifiers import classifier
from tests.support.serving import TEXTS, asking, make_engine


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
