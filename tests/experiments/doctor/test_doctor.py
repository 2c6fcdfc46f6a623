"""`spt doctor`: what is broken ends with 1 and says what to do; what is missing but not needed does not."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from experiments.cli import app
from experiments.doctor import installed, look, machine, starting
from experiments.doctor.finding import Finding
from spt.process import precision
from tests.support.ray_processes import private_ray


def states(looked: Iterator[Finding]) -> dict[str, str]:
    return {finding.subject: finding.state for finding in looked}


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the doctor find these alone."""

    def give(*findings: Finding) -> None:
        monkeypatch.setattr(look, "LOOKS", (lambda: iter(findings),))

    return give


def test_a_broken_part_ends_with_1_and_advice(looks: Callable[..., None]) -> None:
    looks(Finding("Python", "3.11"), Finding("NNI", "does not start: no node", "broken", "Install it."))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].split()[:2] == ["!!", "NNI"] and "Install it." in result.stdout
    written = CliRunner().invoke(app, ["doctor", "--json"])
    assert written.exit_code == 1
    assert json.loads(written.stdout)[1]["advice"] == "Install it."


def test_notes_end_with_0(looks: Callable[..., None]) -> None:
    looks(Finding("hub", "does not answer", "note", "Local folders work."))
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


def test_this_environment_is_whole() -> None:
    looked = [*installed.look_at_packages(), *machine.look_at_devices()]
    assert {finding.state for finding in looked} == {"ok"}, looked
    assert {"Python", "torch", "nni", "ray", "device", "bf16", "threads"} <= {
        finding.subject for finding in looked
    }


@pytest.mark.parametrize("asked", ["torch>=99", "no-such-package"])
def test_a_package_that_is_missing_or_too_old_is_broken(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setattr(installed, "requires", lambda _: [asked, 'other>=1; extra == "test"'])
    looked = states(installed.look_at_packages())
    assert [subject for subject, state in looked.items() if state == "broken"] == [
        asked.split(">", maxsplit=1)[0]
    ]


def test_a_missing_extra_is_a_note_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "is_installed", lambda _: False)
    (peft,) = (finding for finding in installed.look_at_extras() if finding.subject == "peft")
    assert peft.state == "note" and 'pip install "spt-nas[bench]"' in peft.advice


@pytest.mark.parametrize(
    ("speedup", "advice"),
    [
        (4.66, "4.7 times as fast as in 32 bits: set training.precision to bf16"),
        (0.3, "0.3 times as fast as in 32 bits: leave training.precision at 32"),
    ],
)
def test_bf16_is_advised_where_it_is_fast(
    speedup: float, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {torch.float32: speedup, torch.bfloat16: 1.0}
    monkeypatch.setattr(precision, "product_seconds", lambda *kind: seconds[kind[-1]])
    (found,) = (finding for finding in machine.look_at_devices() if finding.subject == "bf16")
    assert (found.state, found.value) == ("ok", f"matrix products are {advice}")


def test_more_threads_than_cores_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    assert states(machine.look_at_devices())["threads"] == "note"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    assert states(machine.look_at_folders())["cache"] == "broken"


def test_a_cache_has_a_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0" * 2**20 * 100)
    monkeypatch.setenv("SPT_CACHE", str(tmp_path))
    (cache,) = (finding for finding in machine.look_at_folders() if finding.subject == "cache")
    assert f"{tmp_path}, 0.1 GB" in cache.value


def test_a_port_in_use_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("localhost", 0))
        server.listen()
        port = server.getsockname()[1]
        monkeypatch.setattr(machine, "PORTS", {port: "NNI's web UI"})
        assert states(machine.look_at_ports()) == {f"port {port}": "note"}


@pytest.mark.parametrize(
    ("offline", "said"), [("1", "not asked, by HF_HUB_OFFLINE"), ("0", "http://localhost:1 does not answer")]
)
def test_an_unreachable_hub_is_a_note(monkeypatch: pytest.MonkeyPatch, offline: str, said: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:1")
    (hub,) = machine.look_at_the_hub()
    assert hub.state == "note" and said in hub.value


def test_what_does_not_start_is_broken_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "localhost:1")
    (ray,) = starting.look_at_ray()
    assert ray.state == "broken" and "No Ray cluster answers at 'localhost:1'" in ray.value


@pytest.mark.slow
@pytest.mark.nni
@pytest.mark.ray
def test_ray_and_nni_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with private_ray():
        looked = [*starting.look_at_ray(), *starting.look_at_nni()]
    assert [finding.state for finding in looked] == ["ok", "ok"], looked
