"""The load test of the HTTP server, on little: what it counts is what was answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import httpx
import pytest

from benchmarks import record
from benchmarks.http_load import measure
from benchmarks.http_load.client import Load
from benchmarks.pages.http_tables import serving_http, serving_replicas
from tests.support.markdown_tables import table
from tests.support.serving import TEXTS, make_shelf

ANSWER = {"answers": [{"a": {}, "b": {}}], "versions": {}}
Answer = Callable[[httpx.Request], httpx.Response]


def asked(answer: Answer, questions: Callable[[Load], object]) -> Load:
    async def conversation() -> Load:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://a") as client:
            load = Load(client, [{"texts": ["a"]}], Random(0))
            await questions(load)  # type: ignore[misc]
            return load

    return asyncio.run(conversation())


def test_every_request_is_counted_by_what_became_of_it() -> None:
    turns = iter(range(10_000))

    def answer(_request: httpx.Request) -> httpx.Response:
        turn = next(turns)
        if turn % 4 == 3:
            raise httpx.ReadError("closed")
        return httpx.Response([200, 429, 500][turn % 4], json=ANSWER)

    content = asked(answer, lambda load: load.by_turns(2, 0.3)).record()
    statuses = content["statuses"]
    assert statuses.keys() == {"200", "429", "500", "none"} and sum(statuses.values()) == content["requests"]
    assert content["answers_per_second"] == pytest.approx(2 * content["requests_per_second"], rel=0.01)
    assert 0 < content["p50_ms"] <= content["p99_ms"] < 300


def test_requests_at_a_rate_do_not_wait_for_each_other() -> None:
    async def slow(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.3)
        return httpx.Response(200, json=ANSWER)

    began = time.monotonic()
    load = asked(slow, lambda load: load.at_rate(100, 0.5))  # type: ignore[arg-type]
    assert 25 < len(load.outcomes) < 80 and time.monotonic() - began < 5
    assert all(outcome.status == "200" and outcome.seconds >= 0.3 for outcome in load.outcomes)


@pytest.mark.slow
def test_a_real_server_is_measured_below_and_above_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(measure, "save_prompts", lambda _shelf: make_shelf(tmp_path))
    monkeypatch.setattr(measure, "request_bodies", lambda _seed: [{"texts": TEXTS}])
    # so far below that the queue holds all of them: a machine that is busier by then refuses nobody
    monkeypatch.setattr(measure, "BELOW", 0.1)
    for name, value in (("CAPACITY_SECONDS", 1.0), ("ABOVE_SECONDS", 2.0), ("ABOVE", 8.0), ("QUEUE", 27)):
        monkeypatch.setattr(measure, name, value)
    # by turns nobody may be refused: the clients' requests fit into the queue
    monkeypatch.setattr(measure, "CLIENTS", 3)
    measure.measure_http(2, seed=3, result="serving_http")
    content = record.load("serving_http")
    capacity, sustained, above = content["records"]
    assert capacity["statuses"].keys() == sustained["statuses"].keys() == {"200"}
    assert above["statuses"].keys() <= {"200", "429"} and above["statuses"]["429"] > 0
    assert 100 < sustained["rss_mb_begin"] <= sustained["rss_mb_most"]
    assert content["settings"]["seed"] == 3 and content["command"].endswith(
        "serving-http --seconds 2 --seed 3"
    )
    rows = table(serving_http())
    assert [row["429"] for row in rows] == ["0", "0", str(above["statuses"]["429"])]
    assert rows[1]["memory begin and end, MB"] and not rows[0]["memory begin and end, MB"]


def test_the_page_tells_what_a_killed_replica_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    killed = {
        "requests": 1000,
        "statuses": {"200": 992, "500": 8},
        "seconds": 60.0,
        "answers_per_second": 160.0,
        "p50_ms": 400.0,
        "p99_ms": 900.0,
        "clients": 16,
        "lost": 0,
        "last_error_seconds": 0.25,
        "replicas_again_within_seconds": 31.4,
    }
    settings = {"layers": {"a": [3]}, "most_texts": 4, "backbone": "b"}
    record.write_result(
        "serving_replicas", "python -m benchmarks serving-replicas", [killed], settings=settings
    )
    text = serving_replicas()
    (row,) = table(text)
    assert (row["sent"], row["200"], row["5xx"], row["no response"]) == ("1,000", "992", "8", "0")
    assert "8 of 1,000 requests got an error, the last of them 0.2 s after the kill, 0 got neither" in text
    assert "two replicas answered again after 31 s" in text
