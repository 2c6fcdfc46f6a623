"""`spt audit`: code 0 for a good folder, 2 for a bad one, and nothing that a terminal would obey."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from experiments.cli import app
from tests.support.loaded import loaded_by_command
from tests.support.tiny import make_backbone


def test_a_good_folder_ends_with_0_as_text_and_as_json(tmp_path: Path) -> None:
    folder = make_backbone(tmp_path / "model")
    shown = CliRunner().invoke(app, ["audit", str(folder)])
    assert shown.exit_code == 0 and "is a backbone" in shown.stdout and "Nothing is wrong." in shown.stdout
    written = CliRunner().invoke(app, ["audit", str(folder), "--json"])
    content = json.loads(written.stdout)
    assert written.exit_code == 0 and content["problems"] == []
    tensors = content["tensors"]["model.safetensors"]
    assert {"name": "bert.embeddings.word_embeddings.weight", "dtype": "F32", "shape": [23, 32]} in tensors


def test_a_bad_folder_ends_with_2_and_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    folder = make_backbone(tmp_path / "model")
    (folder / "\x1b[31mred.py").write_text("", encoding="utf-8")
    for options in ([], ["--json"]):
        result = CliRunner().invoke(app, ["audit", str(folder), *options])
        assert result.exit_code == 2
        assert "is code" in result.stdout and "\x1b" not in result.stdout


def test_no_folder_is_bad_input(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["audit", str(tmp_path / "none")])
    assert result.exit_code == 2 and "is not a folder" in result.stderr


def test_an_audit_loads_no_framework(tmp_path: Path) -> None:
    folder = make_backbone(tmp_path / "model")
    assert loaded_by_command("audit", folder) == set()
