"""Bodies that nobody meant: each is answered, or refused with 4xx in the shape of a problem."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.serving.engine import Engine
from experiments.serving.messages import LabelResponse
from experiments.serving.problem_details import MEDIA_TYPE, Problem
from tests.support.serving import JSON, asking

TEXT = st.text(max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(["late", "early", "several", "pair", "nobody"]) | TEXT
# each key as it should be, or anything
REQUESTS = st.fixed_dictionaries(
    {"texts": st.lists(TEXT, max_size=4) | VALUES},
    optional={
        "pairs": st.none() | st.lists(TEXT, max_size=4) | VALUES,
        "tasks": st.none() | st.lists(NAMES, max_size=4) | VALUES,
        "probabilities": st.sampled_from(["best", "all"]) | VALUES,
        "threshold": st.none() | st.floats(0, 1) | VALUES,
        "more": VALUES,
    },
)
BODIES = st.binary(max_size=60) | (VALUES | REQUESTS).map(lambda value: json.dumps(value).encode())
# characters that no JSON writer would leave as they are
DAMAGED = st.tuples(BODIES, st.integers(0, 200), st.binary(min_size=1, max_size=3)).map(
    lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
)
TYPES = st.sampled_from([JSON["Content-Type"]] * 4 + ["application/json; charset=latin-1", "text/plain", ""])


class Conversation:
    """A client and its loop, for examples that are drawn one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient) -> None:
        self.loop, self.client = loop, client

    def ask(self, body: bytes, kind: str) -> httpx.Response:
        question = self.client.post("/v1/label", content=body, headers={"Content-Type": kind})
        return self.loop.run_until_complete(question)


@pytest.fixture(scope="module")
def conversation(engine: Engine, shelf: Path) -> Iterator[Conversation]:
    loop = asyncio.new_event_loop()
    application = asking(engine, shelf, batch_ms=0)
    yield Conversation(loop, loop.run_until_complete(application.__aenter__()))
    loop.run_until_complete(application.__aexit__(None, None, None))
    loop.close()


def check(response: httpx.Response) -> None:
    if response.status_code == 200:
        LabelResponse.model_validate(response.json())
        return
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    assert Problem.model_validate(response.json()).problems


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODIES | DAMAGED, kind=TYPES)
def test_a_malformed_body_is_the_clients_fault(body: bytes, kind: str, conversation: Conversation) -> None:
    check(conversation.ask(body, kind))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=REQUESTS)
def test_a_request_of_the_right_keys_is_answered_or_refused(content: Any, conversation: Conversation) -> None:
    check(conversation.ask(json.dumps(content).encode(), JSON["Content-Type"]))
