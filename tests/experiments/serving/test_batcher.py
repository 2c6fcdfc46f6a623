"""Batches of many clients: full or due, bounded, in time, and nobody's failure but one's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from experiments.serving.batcher import BROKEN, Batcher
from experiments.serving.engine import Content, Job, Prompts
from experiments.serving.metrics import Metrics
from experiments.serving.options import ServingOptions, checked_options
from experiments.serving.problem_details import Overloaded, Refusal
from spt.errors import InputError


class Model:
    """Answer a job by its texts, after a time; fail or refuse where a text says so."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[list[str]] = []

    def begin(self, jobs: Sequence[Job]) -> asyncio.Future[list[Content | InputError]]:
        self.batches.append([text for job in jobs for text in job.texts])
        return asyncio.ensure_future(self._compute(jobs))

    async def _compute(self, jobs: Sequence[Job]) -> list[Content | InputError]:
        await asyncio.sleep(self.seconds)
        if any("fail" in job.texts for job in jobs):
            raise RuntimeError("out of memory")
        return [InputError("no token") if "bad" in job.texts else {"answers": job.texts} for job in jobs]


def job(*texts: str, tasks: int = 1) -> Job:
    return Job(texts, None, tuple(map(str, range(tasks))), Prompts({}, {}))


def gather(
    model: Model,
    questions: Callable[[Batcher], Awaitable[Any]],
    metrics: Metrics | None = None,
    **options: Any,
) -> Any:
    async def conversation() -> Any:
        batcher = Batcher(model.begin, ServingOptions(**options), metrics or Metrics())
        running = asyncio.create_task(batcher.run())
        try:
            return await questions(batcher)
        finally:
            running.cancel()

    return asyncio.run(conversation())


async def answers(batcher: Batcher, *jobs: Job) -> list[Any]:
    return await asyncio.gather(*(batcher.answer(each) for each in jobs), return_exceptions=True)


def test_jobs_that_come_together_are_computed_together_and_each_gets_its_own_answer() -> None:
    model = Model()
    got = gather(model, lambda batcher: answers(batcher, job("a"), job("b", "c"), job("d")), batch_ms=50)
    assert [each["answers"] for each in got] == [("a",), ("b", "c"), ("d",)]
    assert model.batches == [["a", "b", "c", "d"]]


def test_a_full_batch_does_not_wait_and_counts_texts_times_tasks() -> None:
    model, began = Model(), time.monotonic()
    jobs = [job("a", tasks=2), job("b", tasks=2), job("c", "d"), job("e", "f", "g", "h", "i")]
    gather(model, lambda batcher: answers(batcher, *jobs), batch_ms=400, batch_size=4)
    assert model.batches == [["a", "b"], ["c", "d"], ["e", "f", "g", "h", "i"]]
    # jobs are never split; the second batch was closed by the third, which is full by itself
    assert time.monotonic() - began < 0.4


def test_a_lonely_job_waits_as_long_as_it_is_told() -> None:
    for milliseconds in (0.0, 150.0):
        began = time.monotonic()
        gather(Model(), lambda batcher: answers(batcher, job("a")), batch_ms=milliseconds)
        assert (time.monotonic() - began >= 0.15) is (milliseconds > 0)


def test_what_arrives_while_the_model_computes_is_the_next_batch() -> None:
    async def questions(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.answer(job("a")))
        await asyncio.sleep(0.05)
        await answers(batcher, job("b"), job("c"))
        await first

    model = Model(seconds=0.1)
    gather(model, questions, batch_ms=0)
    assert model.batches == [["a"], ["b", "c"]]


def test_more_than_may_wait_is_refused_with_the_time_to_try_again() -> None:
    async def questions(batcher: Batcher) -> list[Any]:
        first = asyncio.create_task(batcher.answer(job("a")))
        await asyncio.sleep(0.02)
        got = await answers(batcher, *(job("b", "c") for _ in range(4)))
        await first
        # what waited is answered, and there is room again
        return [*got, *await answers(batcher, job("d"))]

    model = Model(seconds=0.1)
    *got, last = gather(model, questions, batch_ms=0, queue=4, batch_size=8)
    assert [isinstance(each, Overloaded) for each in got] == [False, False, True, True]
    assert got[2].status == 429 and int(got[2].headers["Retry-After"]) >= 1
    assert last["answers"] == ("d",)
    assert model.batches == [["a"], ["b", "c", "b", "c"], ["d"]]


def test_a_job_that_never_fits_is_not_told_to_try_again() -> None:
    (refusal,) = gather(Model(), lambda batcher: answers(batcher, job("a", "b", tasks=3)), queue=5)
    assert refusal.status == 413 and "2 texts by 3 tasks are 6 answers" in str(refusal)


def test_who_waits_too_long_is_told_and_is_not_computed_any_more() -> None:
    async def questions(batcher: Batcher) -> list[Any]:
        first = asyncio.create_task(batcher.answer(job("a")))
        await asyncio.sleep(0.02)
        got = await answers(batcher, job("b"), job("c"))
        assert batcher.queued == 0 and batcher.is_stuck
        await asyncio.gather(first, return_exceptions=True)
        await asyncio.sleep(0.2)
        return [*got, not batcher.is_stuck]

    model = Model(seconds=0.3)
    *got, recovered = gather(model, questions, batch_ms=0, timeout=0.1)
    assert [each.status for each in got] == [504, 504] and recovered
    assert model.batches == [["a"]]


def test_who_leaves_is_not_computed_any_more() -> None:
    async def questions(batcher: Batcher) -> None:
        first, second = (asyncio.create_task(batcher.answer(job(text))) for text in "ab")
        await asyncio.sleep(0.01)
        second.cancel()
        await first
        await answers(batcher, job("c"))

    model = Model(seconds=0.05)
    gather(model, questions, batch_ms=0, batch_size=1)
    assert model.batches == [["a"], ["c"]]


def test_a_job_that_cannot_be_answered_does_not_touch_the_others_in_its_batch() -> None:
    got = gather(Model(), lambda batcher: answers(batcher, job("a"), job("bad")), batch_ms=50)
    assert got[0] == {"answers": ("a",)} and isinstance(got[1], InputError)


def test_a_model_that_fails_again_and_again_is_broken_until_it_does_not() -> None:
    async def questions(batcher: Batcher) -> list[Any]:
        states: list[Any] = []
        for text in ["fail"] * BROKEN + ["a"]:
            (got,) = await answers(batcher, job(text))
            states.append((type(got), batcher.is_broken))
        return states

    *failures, last = gather(Model(), questions, batch_ms=0)
    assert failures == [(RuntimeError, number == BROKEN) for number in range(1, BROKEN + 1)]
    assert last == (dict, False)


def test_batches_are_measured() -> None:
    metrics = Metrics()
    gather(Model(0.05), lambda batcher: answers(batcher, job("a"), job("b", tasks=2)), metrics, batch_ms=20)
    lines = metrics.as_text().decode().splitlines()
    assert "spt_serve_batch_answers_sum 3.0" in lines and "spt_serve_batch_answers_count 1.0" in lines
    (seconds,) = (float(line.split()[1]) for line in lines if line.startswith("spt_serve_batch_seconds_sum"))
    assert 0.05 <= seconds < 1


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("batch_size", 0, "greater than or equal to 1"),
        ("timeout", 0, "greater than 0"),
        ("queue", True, "true and false are no number"),
        ("batches", 3, "Did you mean 'batch_ms'?|Did you mean 'batch_size'?"),
    ],
)
def test_options_out_of_range_are_refused(name: str, value: Any, reason: str) -> None:
    with pytest.raises(InputError, match=rf"1 problem in the options:\n  {name}: .*{reason}"):
        checked_options(ServingOptions, {name: value})


def test_a_refusal_tells_its_problems() -> None:
    assert Refusal(400, "a", "b").problems == ("a", "b")
