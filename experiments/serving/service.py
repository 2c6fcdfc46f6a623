"""What the operations of the API do, and the loops that work behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from experiments.serving.batcher import Batcher
from experiments.serving.engine import Content, Engine, Job
from experiments.serving.folders import PromptFolders
from experiments.serving.jobs import job_of, reads_pairs
from experiments.serving.messages import read_request
from experiments.serving.metrics import Metrics
from experiments.serving.options import ServingOptions
from experiments.serving.problem_details import CLIENT_CLOSED_REQUEST, Refusal
from experiments.serving.reload import Reloader

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Service:
    """Answer the requests of the API.

    Args:
        engine: that computes.
        folders: of its prompts, which are looked at again.
        options: bounds and times.
    """

    def __init__(self, engine: Engine, folders: PromptFolders, options: ServingOptions) -> None:
        self.metrics = Metrics()
        self._engine = engine
        self._options = options
        self._batcher = Batcher(
            lambda jobs: asyncio.wrap_future(engine.submit(engine.answer, jobs)), options, self.metrics
        )
        self._reloader = Reloader(engine, folders, self.metrics)
        self._loops: list[asyncio.Task[None]] = []
        self.metrics.gauge("queued_answers", "Answers that wait for a batch.", lambda: self._batcher.queued)
        for name, what in (("hits", "were there"), ("misses", "were computed")):
            text = f"Hidden states below prompts that {what}."
            self.metrics.count(f"trunk_{name}", text, partial(self._of_cache, name))
        bytes_text = "Memory of the hidden states that are kept."
        self.metrics.gauge("trunk_bytes", bytes_text, partial(self._of_cache, "bytes"))
        self.metrics.gauge("tasks", "Tasks that are served.", lambda: len(engine.served))
        refused_text = "Folders that are not served as they are, as GET /v1/tasks lists them."
        self.metrics.gauge("refused_folders", refused_text, lambda: len(self._reloader.refused))

    def _of_cache(self, name: str) -> float:
        return float(getattr(self._engine.cache, name))

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Gather batches and look for changed prompts while the application runs."""
        self._loops.append(asyncio.create_task(self._batcher.run()))
        if self._options.reload_seconds:
            self._loops.append(asyncio.create_task(self._reloader.run(self._options.reload_seconds)))
        try:
            yield
        finally:
            for loop in self._loops:
                loop.cancel()

    async def label(self, request: Request) -> Response:
        """Label each text by each task.

        Texts of all clients are gathered into batches, and what tasks share is computed once a text.
        """
        asked = read_request(await request.body(), request.headers.get("content-type", ""))
        job = job_of(asked, self._engine.prompts, self._options)
        content = await self._unless_disconnected(job, request)
        if content is None:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        for task in job.tasks:
            self.metrics.answers.labels(task).inc(len(job.texts))
        return JSONResponse(content)

    async def tasks(self) -> Response:
        """List the tasks, with their labels and the version of their prompts, and what is not served."""
        tasks = []
        for name, served in self._engine.served.items():
            spec, task = served.classifier.spec, served.classifier.spec.task
            tasks.append(
                {
                    "name": name,
                    "labels": list(served.classifier.labels),
                    "pairs": reads_pairs(served),
                    "multi_label": task.multi_label,
                    "threshold": spec.answers.threshold,
                    "layers": list(served.classifier.architecture.layers),
                    "max_length": spec.max_length,
                    "version": served.version,
                }
            )
        refused = [
            {"name": each.name, "folder": each.short_path, "reason": each.reason}
            for each in self._reloader.refused
        ]
        return JSONResponse({"tasks": tasks, "refused": refused})

    def fault(self) -> str | None:
        """Say why the process should be started anew; None where it works."""
        if any(loop.done() for loop in self._loops):
            return "A part of the server has ended. Start it anew."
        if self._batcher.is_broken:
            return "The model fails at every batch. Start the server anew."
        return None

    async def health(self) -> Response:
        """Say whether the process works; where it does not, it should be started anew."""
        if fault := self.fault():
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, fault)
        return JSONResponse({"status": "ok"})

    async def ready(self) -> Response:
        """Say whether the server takes requests; where it does not, others should get them for a while."""
        if self._batcher.is_stuck:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "The model takes too long for its batch.")
        if self._batcher.queued >= self._options.queue:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Too many texts are waiting for their answers.")
        return JSONResponse({"status": "ok"})

    async def prometheus(self) -> Response:
        """Return counters and histograms in Prometheus' text format."""
        return Response(self.metrics.as_text(), media_type=METRICS_TYPE)

    async def _unless_disconnected(self, job: Job, request: Request) -> Content | None:
        """Wait for a job's content; None if the client leaves before, and then the job leaves the queue."""
        answer = asyncio.ensure_future(self._batcher.answer(job))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            return await answer if answer.done() else None
        finally:
            answer.cancel()
            gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
