"""The contract of the HTTP API: answers, descriptions, and refusals in one shape."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from experiments.serving.body import BoundedBody
from experiments.serving.engine import Engine
from experiments.serving.messages import REQUEST_EXAMPLES, RESPONSE_EXAMPLE, LabelResponse, TaskList
from experiments.serving.problem_details import CLIENT_CLOSED_REQUEST, MEDIA_TYPE, Problem
from spt.serving.classifier import PromptClassifier
from spt.serving.predictions import LabelSet, Prediction
from spt.storage.digests import file_digest
from tests.support.serving import LAYERS, TEXTS, ask, label


def probabilities(response: httpx.Response, task: str) -> Any:
    assert response.status_code == 200, response.text
    return np.array([list(answer[task]["probabilities"].values()) for answer in response.json()["answers"]])


def problems(response: httpx.Response, status: int) -> list[str]:
    """Return what a refused request was told, in the shape that all refusals have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    problem = Problem.model_validate(response.json())
    assert problem.status == status and all(text in problem.detail for text in problem.problems)
    return problem.problems


def test_all_tasks_answer_as_each_prompt_alone(engine: Engine, shelf: Path) -> None:
    response = label(engine, shelf, {"texts": TEXTS, "probabilities": "all"})
    content = LabelResponse.model_validate(response.json())
    assert content.versions.keys() == LAYERS.keys()
    for task in LAYERS:
        alone = PromptClassifier.from_pretrained(shelf / task)
        np.testing.assert_allclose(probabilities(response, task), alone.predict_proba(TEXTS), atol=1e-5)
        for answer, prediction in zip(content.answers, alone.predict(TEXTS), strict=True):
            if isinstance(prediction, LabelSet):
                assert answer[task].labels == list(prediction.labels)
            else:
                assert isinstance(prediction, Prediction) and answer[task].label == prediction.label
        assert content.versions[task] == file_digest(shelf / task / "prompt.json")


def test_pairs_are_answered_by_the_tasks_that_compare_two_texts(engine: Engine, shelf: Path) -> None:
    pairs = TEXTS[::-1]
    response = label(engine, shelf, {"texts": TEXTS, "pairs": pairs, "probabilities": "all"})
    alone = PromptClassifier.from_pretrained(shelf / "pair").predict_proba(TEXTS, pairs)
    np.testing.assert_allclose(probabilities(response, "pair"), alone, atol=1e-5)
    assert response.json()["versions"].keys() == {"pair"}


def test_a_task_named_twice_answers_once_by_its_best_probability(engine: Engine, shelf: Path) -> None:
    response = label(engine, shelf, {"texts": TEXTS[:1], "tasks": ["late", "late"]})
    (answer,) = response.json()["answers"]
    assert answer.keys() == response.json()["versions"].keys() == {"late"}
    assert answer["late"].keys() == {"label", "probability"} and answer["late"]["probability"] >= 0.5


def test_a_threshold_gives_no_label_to_what_is_less_sure(engine: Engine, shelf: Path) -> None:
    for threshold, label_given, labels_given in ((1, None, 0), (0, str, 2)):
        response = label(engine, shelf, {"texts": TEXTS, "threshold": threshold})
        for answer in LabelResponse.model_validate(response.json()).answers:
            assert isinstance(answer["late"].label, label_given or type(None))
            assert (
                len(answer["several"].labels or ())
                == len(answer["several"].probabilities or ())
                == labels_given
            )


def test_the_tasks_are_described(engine: Engine, shelf: Path) -> None:
    content = TaskList.model_validate(ask(engine, shelf, lambda client: client.get("/v1/tasks")).json())
    tasks = {task.name: task for task in content.tasks}
    assert tasks.keys() == {*LAYERS, "pair"}
    assert {name: tuple(tasks[name].layers) for name in LAYERS} == LAYERS
    assert [name for name, task in tasks.items() if task.pairs] == ["pair"]
    assert [name for name, task in tasks.items() if task.multi_label] == ["several"]
    assert all(task.labels == ["bad", "good"] and task.max_length == 32 for task in tasks.values())


@pytest.mark.parametrize(
    ("content", "reasons"),
    [
        ({}, ["texts: Field required"]),
        ([], ["Input should be a valid dictionary"]),
        ({"texts": []}, ["texts is empty. Give at least one text."]),
        ({"texts": ["a"], "tasks": []}, ["tasks is empty"]),
        ({"texts": "a"}, ["texts: Input should be a valid list"]),
        ({"text": ["a"], "texts": ["a"]}, ["text: there is no such key. Did you mean 'texts'?"]),
        ({"texts": ["a"], "threshold": 1.5}, ["less than or equal to 1 (given: 1.5)"]),
        ({"texts": ["a"], "threshold": True}, ["true and false are no number"]),
        ({"texts": ["a"], "probabilities": "some"}, ["'best' or 'all' (given: 'some')"]),
        ({"texts": ["a", 3, ""]}, ["texts is empty in row 3", "type int in row 2"]),
        ({"texts": ["\ud800"]}, ["holds half of a surrogate pair in row 1"]),
        ({"texts": ["a"], "tasks": ["lat", 3]}, ["something else than names in row 2"]),
        (
            {"texts": ["a", " "], "tasks": ["lat", "pair"]},
            ["empty in row 2", "Unknown task 'lat'. Did you mean 'late'?", "Ask by itself for 'pair'"],
        ),
        ({"texts": ["a"], "pairs": ["b", "c"]}, ["texts has 1 and pairs 2 texts"]),
        ({"texts": ["a"], "pairs": ["b"], "tasks": ["late"]}, ["'late', which reads one text"]),
    ],
)
def test_a_wrong_request_gets_all_its_problems(
    content: Any, reasons: list[str], engine: Engine, shelf: Path
) -> None:
    told = problems(label(engine, shelf, content), 422)
    assert len(told) == len(reasons)
    assert all(reason in text for reason, text in zip(reasons, told, strict=True)), told


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (b"{", "application/json", 400, "Expecting property name"),
        (b"\xff", "application/json", 400, "can't decode byte"),
        (b"[" * 100_000, "application/json", 400, "nested too deep"),
        (b'{"texts": [], "texts": []}', "application/json", 400, "has the key 'texts' twice"),
        (b'{"threshold": NaN}', "application/json", 400, "NaN is no number"),
        (b"1" * 5000, "application/json", 400, "Exceeds the limit"),
        (b"{}", "text/plain", 415, "of the type 'text/plain'"),
        (b"{}", "", 415, "of the type ''"),
    ],
)
def test_what_is_no_json_is_refused(
    body: bytes, kind: str, status: int, reason: str, engine: Engine, shelf: Path
) -> None:
    async def question(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/label", content=body, headers={"Content-Type": kind})

    assert reason in problems(ask(engine, shelf, question), status)[0]


def test_other_paths_and_methods_are_told_those_that_there_are(engine: Engine, shelf: Path) -> None:
    for path, status in (("/v2/label", 404), ("/v1/label", 405), ("/docs", 404)):
        (told,) = problems(ask(engine, shelf, lambda client, path=path: client.get(path)), status)
        assert path in told and "POST /v1/label" in told


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        ({"texts": ["a"] * 4}, {"max_texts": 3}, "texts has 4, but a request may have 3"),
        ({"texts": ["ab", "abc"]}, {"max_characters": 2}, "more than 2 characters in row 2"),
        ({"texts": ["a"] * 4}, {"queue": 11}, "4 texts by 3 tasks are 12 answers, but at most 11"),
        ({"texts": ["a" * 200]}, {"max_bytes": 200}, "more than 200 bytes"),
    ],
)
def test_what_is_too_large_gets_413(
    content: Any, options: dict[str, int], reason: str, engine: Engine, shelf: Path
) -> None:
    assert reason in problems(label(engine, shelf, content, **options), 413)[0]


def test_a_body_that_does_not_say_its_size_is_bounded_too(engine: Engine, shelf: Path) -> None:
    async def parts() -> Any:
        for _ in range(10):
            yield b"x" * 50

    async def question(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/label", content=parts())

    assert "more than 200 bytes" in problems(ask(engine, shelf, question, max_bytes=200), 413)[0]


def test_a_body_that_does_not_arrive_is_not_waited_for(engine: Engine, shelf: Path) -> None:
    async def parts() -> Any:
        yield b"{"
        await asyncio.sleep(5)

    async def question(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/label", content=parts())

    assert "did not arrive within 0.1 s" in problems(ask(engine, shelf, question, timeout=0.1), 408)[0]


def test_health_readiness_and_metrics(engine: Engine, shelf: Path) -> None:
    async def questions(client: httpx.AsyncClient) -> str:
        for path in ("/health", "/ready"):
            assert (await client.get(path)).json() == {"status": "ok"}
        for task in ("late", "late"):
            await client.post("/v1/label", json={"texts": ["the very plot", "it was it"], "tasks": [task]})
        await client.post("/v1/label", json={})
        await client.get("/made/up")
        return (await client.get("/metrics")).text

    before = engine.cache
    lines = ask(engine, shelf, questions).splitlines()
    for line in (
        'spt_serve_requests_total{path="/v1/label",status="200"} 2.0',
        'spt_serve_requests_total{path="/v1/label",status="422"} 1.0',
        'spt_serve_requests_total{path="other",status="404"} 1.0',
        'spt_serve_answers_total{task="late"} 4.0',
        "spt_serve_batch_answers_sum 4.0",
        "spt_serve_queued_answers 0.0",
        "spt_serve_tasks 4.0",
        f"spt_serve_trunk_misses_total {before.misses + 2}.0",
        f"spt_serve_trunk_hits_total {before.hits + 2}.0",
        f"spt_serve_trunk_bytes {engine.cache.bytes}.0",
    ):
        assert line in lines


def test_a_client_that_leaves_while_it_sends_is_no_failure_of_the_server() -> None:
    messages = [{"type": "http.request", "body": b'{"texts"', "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def app(*_: Any) -> None:
        raise AssertionError("nobody is there to be answered")

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(BoundedBody(app, 100, 5)({"type": "http", "headers": []}, receive, send))
    assert sent[0]["status"] == CLIENT_CLOSED_REQUEST


def test_the_examples_of_openapi_are_valid(engine: Engine, shelf: Path) -> None:
    document = ask(engine, shelf, lambda client: client.get("/openapi.json")).json()
    operation = document["paths"]["/v1/label"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    validator = Draft202012Validator(body["schema"])
    assert body["examples"] == REQUEST_EXAMPLES
    for example in body["examples"].values():
        validator.validate(example["value"])
    assert not validator.is_valid({"texts": [1]})
    answer = operation["responses"]["200"]["content"]["application/json"]
    assert answer["schema"] == {"$ref": "#/components/schemas/LabelResponse"}
    Draft202012Validator({**answer["schema"], "components": document["components"]}).validate(
        answer["example"]
    )
    LabelResponse.model_validate(RESPONSE_EXAMPLE)
    refusals = {"400", "408", "413", "415", "421", "422", "429", "500", "504"}
    assert operation["responses"].keys() == {"200", *refusals}
    assert all(MEDIA_TYPE in operation["responses"][status]["content"] for status in refusals)


def test_a_real_answer_fits_the_schema(engine: Engine, shelf: Path) -> None:
    document = ask(engine, shelf, lambda client: client.get("/openapi.json")).json()
    for more in ({}, {"probabilities": "all"}, {"threshold": 1}):
        content = label(engine, shelf, {"texts": TEXTS, **more}).json()
        schema = {"$ref": "#/components/schemas/LabelResponse", "components": document["components"]}
        Draft202012Validator(schema).validate(content)


def test_probabilities_that_are_no_numbers_are_a_failure_and_touch_no_other_task(
    engine: Engine, shelf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = next(engine.served["several"].classifier.model.head.parameters()).data
    before = weights.clone()
    weights.fill_(float("nan"))
    try:
        # not an answer without labels
        (told,) = problems(label(engine, shelf, {"texts": TEXTS, "tasks": ["several"]}), 500)
        assert "no finite probabilities" in told and "not finite in 3 rows: 1, 2, 3" in caplog.text
        assert label(engine, shelf, {"texts": TEXTS, "tasks": ["late"]}).status_code == 200
    finally:
        weights.copy_(before)
