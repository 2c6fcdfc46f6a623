"""`spt export`: a folder beside the prompt, one line of what it holds, and code 2 for bad input."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from spt.errors import InputError
from tests.support.classifiers import classifier
from tests.support.loaded import loaded_by_command


def spt(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(part) for part in arguments])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("export")
    classifier(home, (3,)).save_pretrained(home / "model")
    return home / "model"


@pytest.mark.slow
def test_an_export_stands_beside_the_prompt(model: Path) -> None:
    result = spt("export", model, "--onnx", "--trunk", "all")
    assert result.exit_code == 0, result.output
    folder = model.with_name("model-onnx")
    assert f"{folder}: trunk.onnx, branch.onnx; logits are at most" in result.stdout
    assert {path.name for path in folder.iterdir()} >= {"trunk.onnx", "branch.onnx", "export.json"}
    assert spt("audit", folder).exit_code == 0


def test_the_form_must_be_named(model: Path) -> None:
    result = spt("export", model)
    assert (
        result.exit_code == 2
        and "Name the form of the export of" in result.stderr
        and "--onnx" in result.stderr
    )


@pytest.mark.parametrize("name", [".", ".."])
def test_the_current_folder_is_exported_beside_it(
    name: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets: list[Path] = []

    def export(_: object, target: Path, *_options: object) -> None:
        targets.append(target)
        raise InputError("It was asked for.")

    monkeypatch.setattr("spt.export.folder.export_onnx", export)
    shutil.copytree(model, tmp_path / "mine")
    (tmp_path / "mine" / "notes").mkdir()
    monkeypatch.chdir(tmp_path / "mine" / ("" if name == "." else "notes"))
    assert spt("export", name, "--onnx").exit_code == 2
    assert targets == [tmp_path / "mine-onnx"]


def test_a_trunk_with_prompts_in_it_is_refused(model: Path) -> None:
    result = spt("export", model, "--onnx", "--trunk", "4")
    assert result.exit_code == 2 and "a number from 1 to 3, or all" in result.stderr


@pytest.mark.slow
def test_help_loads_no_framework() -> None:
    assert loaded_by_command("export", "--help") == set()
