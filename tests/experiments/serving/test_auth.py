"""Tokens, and the names under which a server without one is asked."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from experiments.serving.auth import VARIABLE, is_loopback, read_token
from experiments.serving.engine import Engine
from experiments.serving.options import ServingOptions
from experiments.serving.process import serve
from spt.errors import InputError
from tests.support.serving import TEXTS, ask

TOKEN = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}0",
        "Bearer \xe4",
    ],
)
def test_nothing_is_told_without_the_token(header: str | None, engine: Engine, shelf: Path) -> None:
    async def questions(client: httpx.AsyncClient) -> list[httpx.Response]:
        headers = {} if header is None else {"Authorization": header.encode("latin-1")}
        del client.headers["Authorization"]
        return [
            await client.post("/v1/label", json={"texts": TEXTS}, headers=headers),
            *[
                await client.get(path, headers=headers)
                for path in ("/v1/tasks", "/metrics", "/openapi.json", "/x")
            ],
        ]

    for response in ask(engine, shelf, questions, TOKEN):
        assert response.status_code == 401 and response.headers["WWW-Authenticate"] == "Bearer"
        assert TOKEN not in response.text


def test_with_the_token_a_server_answers_under_any_name(engine: Engine, shelf: Path) -> None:
    async def questions(client: httpx.AsyncClient) -> list[httpx.Response]:
        lower = {"Authorization": f"bearer {TOKEN}", "Host": "labels.example.org"}
        return [await client.get("/v1/tasks"), await client.get("/v1/tasks", headers=lower)]

    assert [response.status_code for response in ask(engine, shelf, questions, TOKEN)] == [200, 200]


def test_probes_need_no_token(engine: Engine, shelf: Path) -> None:
    async def questions(client: httpx.AsyncClient) -> list[int]:
        del client.headers["Authorization"]
        return [(await client.get(path)).status_code for path in ("/health", "/ready")]

    assert ask(engine, shelf, questions, TOKEN) == [200, 200]


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("evil.example.org", 421), ("", 421)],
)
def test_without_a_token_only_this_machine_is_answered(
    host: str, status: int, engine: Engine, shelf: Path
) -> None:
    async def question(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/v1/tasks", headers={"Host": host})

    assert ask(engine, shelf, question).status_code == status


def test_openapi_says_whether_a_token_is_wanted(engine: Engine, shelf: Path) -> None:
    for token in (None, TOKEN):
        document = ask(engine, shelf, lambda client: client.get("/openapi.json"), token).json()
        assert ("security" in document["paths"]["/v1/label"]["post"]) is (token is not None)
        assert "security" not in document["paths"]["/health"]["get"]


def test_the_token_is_read_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="ascii")
    assert read_token(file, {}) == read_token(None, {VARIABLE: TOKEN}) == TOKEN
    assert read_token(None, {}) is None
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_token(Path("~/token"), {}) == TOKEN
    with pytest.raises(InputError, match=f"Both {VARIABLE} and the token file"):
        read_token(file, {VARIABLE: TOKEN})


@pytest.mark.parametrize("content", ["", "short", "with a space in the middle of it", "x" * 5000, "é" * 20])
def test_what_is_no_token_is_refused_without_showing_it(content: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="openssl rand -hex 32") as error:
        read_token(file, {})
    assert not content or content not in str(error.value)
    if content.isascii():
        with pytest.raises(InputError, match=f"{VARIABLE} holds {len(content)} characters"):
            read_token(None, {VARIABLE: content})


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none' cannot be read: No such file"):
        read_token(tmp_path / "none", {})


@pytest.mark.parametrize("host", ["::", "192.168.1.2", "example.org"])
def test_another_address_needs_a_token(host: str, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_loopback(host)
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(
        InputError, match=f"host '{host}' is reached from other machines, so a token is needed"
    ):
        serve([str(shelf)], host, 0, ServingOptions())
