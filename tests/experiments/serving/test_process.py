"""`spt serve`: what it refuses before it begins."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.serving.process import log_to_stderr
from spt.process import extras
from tests.support.serving import make_shelf


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_shelf(folder)
    return folder


def test_an_address_in_use_is_named(inputs: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", str(inputs / "shelf"), "--port", str(port)])
    assert result.exit_code == 2
    assert f"Cannot listen at 127.0.0.1:{port}: Address already in use" in result.output


def test_a_host_that_there_is_not_is_named(inputs: Path) -> None:
    words = ["serve", str(inputs / "shelf"), "--host", "none.invalid"]
    result = CliRunner().invoke(app, words, env={"SPT_SERVE_TOKEN": "0123456789abcdef"})
    assert result.exit_code == 2 and "Cannot listen at none.invalid:8000" in result.output


def test_the_log_tells_of_the_server_and_not_of_clients_texts(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("experiments.serving", "uvicorn", "spt.data.encoded.encoding")
    loggers = [logging.getLogger(name) for name in names]
    disabled = logging.root.manager.disable
    before = [(each.level, each.handlers, each.propagate) for each in loggers]
    for each in loggers:
        each.handlers = []
    try:
        log_to_stderr()
        tells_of_cut_texts = logging.getLogger("spt.data.encoded.encoding").isEnabledFor(logging.WARNING)
        logging.getLogger("experiments.serving.reload").warning("a folder is refused")
        told = capsys.readouterr().err
    finally:
        for each, (level, handlers, propagate) in zip(loggers, before, strict=True):
            each.setLevel(level)
            each.handlers, each.propagate = handlers, propagate
        logging.disable(disabled)
    assert "a folder is refused" in told and not tells_of_cut_texts


def test_wrong_options_and_folders_end_with_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["serve", str(tmp_path), "--queue", "0", "--timeout", "0"])
    assert result.exit_code == 2 and "2 problems in the options" in result.output
    result = CliRunner().invoke(app, ["serve", str(tmp_path)])
    assert result.exit_code == 2 and "is neither a saved prompt nor a folder of some" in result.output


def test_the_extra_that_serves_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "uvicorn" else object())
    result = CliRunner().invoke(app, ["serve", str(tmp_path)])
    assert result.exit_code == 2 and 'pip install "spt-nas[serve]"' in result.output
