"""The examples run as they stand, are short, and import from the front door alone."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from benchmarks.imports import read_modules
from spt import PromptClassifier
from tests.support.tiny import make_backbone, make_data

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LINES = 60


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_trains_and_leaves_a_prompt(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_data(tmp_path / "data.csv", rows=80)
    backbone = make_backbone(tmp_path / "backbone", longest=128)
    monkeypatch.chdir(tmp_path)
    # a test must leave nothing in the user's cache folder
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", [str(example), str(data), str(backbone)])
    runpy.run_path(str(example), run_name="__main__")
    assert "accuracy on" in capsys.readouterr().out
    answers = PromptClassifier.from_pretrained(tmp_path / "my-prompt").predict(["the film was lovely"])
    assert [answer.label in ("good", "bad") for answer in answers] == [True]


def test_examples_are_short_and_know_the_front_door_alone() -> None:
    modules = read_modules(ROOT, ["examples"])
    assert {path.stem for path in EXAMPLES} == {name.rpartition(".")[2] for name in modules}
    for name, module in modules.items():
        ours = {imported for imported in module.imports if imported.split(".")[0] in ("spt", "experiments")}
        assert ours, name
        assert all(imported.count(".") == 1 and imported.startswith("spt.") for imported in ours), name
        assert module.lines <= LINES, name
