"""Every command, killed at its writes and at random moments, or asked to end: nothing is lost or left."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from typer.testing import CliRunner

from benchmarks import record
from benchmarks.cli import app
from benchmarks.crash import measure
from benchmarks.crash.deeds import DEEDS, run_stage, write_inputs
from benchmarks.crash.measure import Kill, commands_environment, measure_crash, shares, summary
from benchmarks.crash.processes import Attempt, Begin, Place
from spt.errors import InputError
from tests.support.deeds import append_twice, fake_deed, leave_a_child, leave_a_temporary, write_safely
from tests.support.serving import TEXTS, make_shelf, serve_shelf
from tests.support.tiny import tiny_tree

LONG = {"epochs": 40, "patience": 40}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the tiny backbone and data of all commands."""
    folder = tmp_path_factory.mktemp("crash")
    tiny_tree(folder)
    return folder


def tree(home: Path, **training: int) -> dict[str, Any]:
    """The keys of a run of which each deed chooses the strategy."""
    keys = tiny_tree(home, training=training, cache="auto")
    return {name: section for name, section in keys.items() if name != "search"}


def config(home: Path) -> Path:
    path = home / "config.yml"
    path.write_text(yaml.safe_dump(tree(home)), encoding="utf-8")
    return path


def lost(kills: list[Kill]) -> list[str]:
    return [f"{kill.at}: {kill.lost}" for kill in kills if kill.lost]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deed", "kills"),
    [
        ("run spt_darts", 6),
        ("run random", 5),
        ("run evolution", 3),
        ("run manual", 4),
        ("compare", 3),
        ("methods", 2),
    ],
)
def test_a_killed_command_ends_as_the_undisturbed_one(
    deed: str, kills: int, home: Path, tmp_path: Path
) -> None:
    done = measure_crash(config(home), tmp_path, kills, deeds=[deed])
    assert len(done) == kills and lost(done) == []


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    begins = [write_safely, append_twice, leave_a_child, leave_a_temporary]
    fake = {begin.__name__: fake_deed(begin) for begin in begins}
    monkeypatch.setattr(measure, "DEEDS", fake)


@pytest.mark.slow
@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("deed", "loss"),
    [
        ("write_safely", None),
        ("append_twice", r"lines.jsonl is another"),
        ("leave_a_child", "left running: "),
        ("leave_a_temporary", r"a\.\d\.partial is left"),
    ],
)
def test_what_is_lost_is_noticed(deed: str, loss: str | None, home: Path, tmp_path: Path) -> None:
    done = measure_crash(config(home), tmp_path, 6, deeds=[deed])
    assert {kill.victim for kill in done} == {"command"}
    if loss is None:
        assert lost(done) == []
        assert len({kill.at for kill in done if not kill.at.startswith("after")}) == 4
    else:
        assert any(re.search(loss, text) for text in lost(done))


@pytest.mark.slow
@pytest.mark.usefixtures("fakes")
def test_kills_are_kept_and_the_result_counts_them(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    words = ["crash", str(config(home)), "--folder", str(tmp_path / "runs"), "--deed", "append_twice"]
    first = CliRunner().invoke(app, [*words, "--kills", "2"])
    more = CliRunner().invoke(app, [*words, "--kills", "3"])
    assert more.exit_code == 1 and "kills lost something" in more.output
    assert more.output.startswith(first.output.rsplit("\n", 2)[0])
    content = json.loads((tmp_path / "results" / "crash.json").read_text(encoding="utf-8"))
    (counted,) = content["records"]
    assert (counted["deed"], counted["kills"]) == ("append_twice", 3)
    assert counted["survived"] + counted["lost"] == 3 and len(content["losses"]) == counted["lost"] > 0
    assert content["command"].endswith("--deed=append_twice --kills=3 --seed=0")


def test_kills_are_shared_out_and_counted() -> None:
    assert shares(DEEDS, 1) == dict.fromkeys(DEEDS, 1)
    parts = shares(DEEDS, 1000)
    assert sum(parts.values()) == pytest.approx(1000, abs=len(parts)) and min(parts.values()) > 5
    kills = [
        Kill("tune", 0, "3: open a", "worker", None, 1.0),
        Kill("tune", 1, "after 0.10 s", "command", "b is another", 2.0),
    ]
    (counted,) = summary(kills)
    assert {key: counted[key] for key in ("kills", "at_changes", "at_moments", "of_workers", "lost")} == {
        "kills": 2,
        "at_changes": 1,
        "at_moments": 1,
        "of_workers": 1,
        "lost": 1,
    }


def test_an_unknown_deed_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Unknown deed 'runs'"):
        measure_crash(config(home), tmp_path, 1, deeds=["runs"])


def wait_for(condition: Callable[[], Any], attempt: Attempt, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert attempt.wait(0) is None, attempt.output.read_text(encoding="utf-8")
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begin", "begun", "how"),
    [
        (
            partial(run_stage, "search", {"search.strategy": "spt_darts", "search.epochs": 40}),
            "run/search/last.ckpt",
            signal.SIGTERM,
        ),
        (DEEDS["train"].begin, "run/train/last.ckpt", signal.SIGTERM),
        (DEEDS["run manual"].begin, "run/train/last.ckpt", signal.SIGINT),
        (DEEDS["compare"].begin, "run/*/train/last.ckpt", signal.SIGINT),
        (DEEDS["methods"].begin, "run/bench/all/*/train/last.ckpt", signal.SIGTERM),
        pytest.param(
            DEEDS["tune"].begin, "study/ray/*/*/*/checkpoint*", signal.SIGTERM, marks=pytest.mark.ray
        ),
        pytest.param(DEEDS["demo"].begin, "runs/*/*/train/last.ckpt", signal.SIGTERM, marks=pytest.mark.nni),
    ],
    ids=["search", "train", "run", "compare", "methods", "tune", "demo"],
)
def test_a_command_that_is_asked_to_end_keeps_what_it_has_and_leaves_no_process(
    begin: Begin, begun: str, how: signal.Signals, home: Path, tmp_path: Path
) -> None:
    inputs, user = tmp_path / "inputs", tmp_path / "home"
    user.mkdir()
    write_inputs(tree(home, **LONG), inputs)
    with commands_environment(inputs, []) as environment:
        attempt = Attempt(begin, Place(user, inputs, {**environment, "HOME": str(user)}))
        wait_for(lambda: list(user.glob(begun)), attempt)
        # a terminal tells all of its processes, a scheduler the first one
        (os.killpg if how == signal.SIGINT else os.kill)(attempt.pid, how)
        code, said = attempt.wait(60), attempt.output.read_text(encoding="utf-8")
        assert code == 128 + how, said
        assert attempt.left(5) == []
    assert "Stopped. The same command" in said and "Traceback" not in said
    assert list(user.glob(begun))


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    make_shelf(folder)
    return folder


@contextmanager
def serving(inputs: Path, home: Path, *options: str) -> Iterator[tuple[Attempt, str]]:
    """Start the command, and yield it with its address."""
    home.mkdir()
    attempt = Attempt(partial(serve_shelf, options), Place(home, inputs, {}))
    address = re.compile(r"Serving .* at (http://127\.0\.0\.1:\d+)")

    def said() -> str:
        return attempt.output.read_text(encoding="utf-8") if attempt.output.exists() else ""

    wait_for(lambda: address.search(said()), attempt)
    try:
        yield attempt, address.findall(said())[0]
    finally:
        attempt.kill()
        attempt.left(5)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_was_asked_before_the_end_is_answered(
    how: signal.Signals, shelves: Path, tmp_path: Path
) -> None:
    # a request waits for others long enough to be in flight when the signal comes
    with (
        serving(shelves, tmp_path / "home", "--batch-ms", "3000", "--batch-size", "99") as (attempt, url),
        ThreadPoolExecutor(8) as pool,
    ):
        assert httpx.get(f"{url}/ready").json() == {"status": "ok"}
        asked = [pool.submit(httpx.post, f"{url}/v1/label", json={"texts": TEXTS}) for _ in range(8)]
        wait_for(lambda: "spt_serve_queued_answers 72.0" in httpx.get(f"{url}/metrics").text, attempt, 20)
        os.kill(attempt.pid, how)
        responses = [future.result() for future in asked]
        assert [response.status_code for response in responses] == [200] * 8
        assert len({response.text for response in responses}) == 1
        code, output = attempt.wait(30), attempt.output.read_text(encoding="utf-8")
        assert code == 128 + how, output
        assert "Stopped. What was asked before has been answered." in output and "Traceback" not in output
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/ready")
        assert attempt.left(0) == []


@pytest.mark.slow
def test_a_killed_server_leaves_no_process_no_file_and_a_free_port(shelves: Path, tmp_path: Path) -> None:
    with serving(shelves, tmp_path / "home") as (attempt, url):
        assert psutil.Process(attempt.pid).children(recursive=True) == []
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(httpx.post, f"{url}/v1/label", json={"texts": TEXTS}) for _ in range(4)]
            attempt.kill()
            assert attempt.wait(10) == -signal.SIGKILL
            # answered whole, or not at all
            for future in asked:
                assert future.exception() is not None or future.result().status_code == 200
        assert attempt.left(0) == []
        assert list((tmp_path / "home").iterdir()) == []
        with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))):
            pass
