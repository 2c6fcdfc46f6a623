"""Requests of many clients, gathered into batches: bounded, and each answered in time or refused."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from experiments.serving.engine import Content, Job
from experiments.serving.metrics import Metrics
from experiments.serving.options import ServingOptions
from experiments.serving.problem_details import Overloaded, Refusal
from spt.errors import InputError

# failures in a row after which the model is taken for broken, as a GPU is after some errors
BROKEN = 3

log = logging.getLogger(__name__)

# hands jobs to the model, and gives a future of their outcomes
Compute = Callable[[Sequence[Job]], "asyncio.Future[list[Content | InputError]]"]


@dataclass(eq=False)
class _Waiting:
    """Hold a job, since when it waits, where its content goes, and whether a batch has it."""

    job: Job
    arrived: float
    content: asyncio.Future[Content]
    taken: bool = False


class Batcher:
    """Gather jobs into batches for a model that computes one at a time; for one event loop.

    A batch is begun when it is full, or when its first job has waited `batch_ms`; jobs that arrive while the
    model computes are the next one.

    Args:
        compute: begins a batch.
        options: sizes, times and bounds.
        metrics: are told of each batch.
    """

    def __init__(self, compute: Compute, options: ServingOptions, metrics: Metrics) -> None:
        self._compute = compute
        self._options = options
        self._metrics = metrics
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._arrival = asyncio.Event()
        self._failures = 0
        # of the batch that is computed now, and of the model at all
        self._busy_since: float | None = None
        self._answers_a_second = 0.0

    @property
    def queued(self) -> int:
        """Count the answers that wait for a batch."""
        return self._queued

    @property
    def is_broken(self) -> bool:
        """Say whether the model has failed a few times in a row."""
        return self._failures >= BROKEN

    @property
    def is_stuck(self) -> bool:
        """Say whether the model has computed one batch for longer than a request may take."""
        return self._busy_since is not None and time.monotonic() - self._busy_since > self._options.timeout

    async def answer(self, job: Job) -> Content:
        """Wait for the content of a job's response.

        Raises:
            InputError: if the job cannot be answered.
            Refusal: with 413 for more answers than may ever wait, 429 while too many do, and 504 after the
                time-out.
            Exception: of the model.
        """
        most = self._options.queue
        if job.answers > most:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{len(job.texts)} texts by {len(job.tasks)} tasks are {job.answers:,} answers, but at "
                f"most {most:,} may be asked for at once. Send fewer texts or tasks a request.",
            )
        if self._queued + job.answers > most:
            raise Overloaded(self._retry_after())
        waiting = _Waiting(job, time.monotonic(), asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued += job.answers
        self._arrival.set()
        try:
            return await asyncio.wait_for(waiting.content, self._options.timeout)
        except asyncio.TimeoutError as error:
            raise Refusal(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"There was no answer within {self._options.timeout:g} s. Ask again later, or for less.",
            ) from error
        finally:
            if not waiting.taken:
                self._queue.remove(waiting)
                self._queued -= job.answers

    async def run(self) -> None:
        """Compute batch after batch, until this is cancelled."""
        while True:
            await self._gathered()
            if batch := self._next_batch():
                await self._answer_all(batch)

    async def _gathered(self) -> None:
        """Wait until a batch is full, or its first job has waited long enough."""
        while not self._queue:
            self._arrival.clear()
            await self._arrival.wait()
        until = self._queue[0].arrived + self._options.batch_ms / 1000
        while (
            self._queue and self._queued < self._options.batch_size and (left := until - time.monotonic()) > 0
        ):
            self._arrival.clear()
            try:
                await asyncio.wait_for(self._arrival.wait(), left)
            except asyncio.TimeoutError:
                return

    def _next_batch(self) -> list[_Waiting]:
        """Take jobs off the queue, whole ones; one that is larger than a batch alone."""
        batch: list[_Waiting] = []
        answers = 0
        while self._queue:
            answers += self._queue[0].job.answers
            if batch and answers > self._options.batch_size:
                break
            waiting = self._queue.popleft()
            waiting.taken = True
            self._queued -= waiting.job.answers
            batch.append(waiting)
        return batch

    async def _answer_all(self, batch: Sequence[_Waiting]) -> None:
        answers = sum(waiting.job.answers for waiting in batch)
        began = self._busy_since = time.monotonic()
        try:
            outcomes: Sequence[Content | Exception] = await self._compute([waiting.job for waiting in batch])
            self._failures = 0
        except Exception as error:
            log.exception("The model failed at a batch of %d answers", answers)
            outcomes = [error] * len(batch)
            self._failures += 1
        finally:
            self._busy_since = None
        seconds = time.monotonic() - began
        self._answers_a_second = answers / max(seconds, 1e-6)
        self._metrics.batch_answers.observe(answers)
        self._metrics.batch_seconds.observe(seconds)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            _settle(waiting.content, outcome)

    def _retry_after(self) -> int:
        """Return whole seconds until half of what waits is answered, at the speed of the last batch."""
        if not self._answers_a_second:
            return 1
        return max(1, min(60, math.ceil(self._queued / 2 / self._answers_a_second)))


def _settle(content: asyncio.Future[Content], outcome: Content | Exception) -> None:
    """Tell whoever still waits."""
    if content.done():
        return
    if isinstance(outcome, Exception):
        content.set_exception(outcome)
    else:
        content.set_result(outcome)
