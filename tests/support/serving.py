"""Prompts behind the HTTP API, asked in this process."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from experiments.cli import app
from experiments.serving.api import make_app
from experiments.serving.engine import Engine
from experiments.serving.folders import PromptFolders
from experiments.serving.options import ServingOptions
from spt.tasks import get_task
from tests.support.classifiers import classifier

# of the prompts that read one text
LAYERS = {"early": (0, 2), "late": (3,), "several": (2,)}
TEXTS = ["the film was lovely", "dull", "it was very poor and the plot was awful"]
URL = "http://localhost"
JSON = {"Content-Type": "application/json"}
Result = TypeVar("Result")


def make_shelf(home: Path) -> Path:
    """Save prompts over one backbone side by side: `several` gives labels, `pair` reads two texts."""
    tasks = {"several": {"multi_label": True, "label_words": None}, "pair": {"text_pair": "second"}}
    for name, layers in {**LAYERS, "pair": (1,)}.items():
        made = classifier(home, layers)
        task = get_task("custom", labels=made.labels, **tasks.get(name, {}))
        spec = made.spec.model_copy(update={"task": task})
        replace(made, spec=spec).save_pretrained(home / "shelf" / name)
    return home / "shelf"


def make_engine(shelf: Path) -> Engine:
    return Engine(PromptFolders.of([str(shelf)]).current().prompts, batch_size=8, cache_bytes=2**20)


@asynccontextmanager
async def asking(
    engine: Engine, shelf: Path, token: str | None = None, **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Run the application, and yield a client of it."""
    folders = PromptFolders.of([str(shelf)])
    application = make_app(engine, folders, ServingOptions(**{"reload_seconds": 0, **options}), token)
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as client,
    ):
        yield client


def ask(
    engine: Engine,
    shelf: Path,
    questions: Callable[[httpx.AsyncClient], Awaitable[Result]],
    token: str | None = None,
    **options: Any,
) -> Result:
    """Run the application for some questions, and return what they return."""

    async def conversation() -> Result:
        async with asking(engine, shelf, token, **options) as client:
            return await questions(client)

    return asyncio.run(conversation())


def label(engine: Engine, shelf: Path, content: Any, **options: Any) -> httpx.Response:
    """Ask POST /v1/label one question."""

    async def question(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/label", content=json.dumps(content), headers=JSON)

    return ask(engine, shelf, question, **options)


def close(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody read what is in a folder, the administrator neither, whom no mode stops."""
    stat, iterdir = Path.stat, Path.iterdir

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def guarded_stat(path: Path, **options: bool) -> os.stat_result:
        return refuse(path) if folder in path.parents else stat(path, **options)  # type: ignore[return-value]

    def guarded_iterdir(path: Path) -> Iterator[Path]:
        return refuse(path) if folder in (path, *path.parents) else iterdir(path)  # type: ignore[return-value]

    monkeypatch.setattr(Path, "stat", guarded_stat)
    monkeypatch.setattr(Path, "iterdir", guarded_iterdir)


def serve_shelf(options: Sequence[str], _home: Path, inputs: Path) -> None:
    """Do `spt serve` for the prompts of the inputs, on a free port."""
    app(["serve", str(inputs / "shelf"), "--port", "0", *options])
