"""What is said of imports, on made-up rooms with circles, an import upwards, and the front door."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.imports import (
    Modules,
    all_circles,
    circles,
    imported_modules,
    read_modules,
    report,
    tree_lines,
    wrong_ways,
)

DOOR = "spt/__init__.py"
FILES = {
    DOOR: '"""The method."""\n',
    "spt/errors.py": "class InputError(ValueError): ...\n",
    "spt/model.py": "from spt.errors import InputError\nimport torch\n",
    "spt/data/__init__.py": '"""Rows."""\n',
    "spt/data/loading.py": '"""Read files.\n\nMore.\n"""\n\nfrom spt import errors\n',
    "strategies/__init__.py": '"""How."""\n\nfrom spt.model import Model\n',
}


def written(folder: Path, **added: str) -> Modules:
    """The modules of FILES with lines added, by dotted name with an underscore for the dot."""
    texts = dict(FILES)
    for name, text in added.items():
        path = DOOR if name == "spt" else f"{name.replace('_', '/')}.py"
        texts[path] = texts.get(path, "") + text
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return read_modules(folder)


def test_imports_are_of_modules_wherever_they_stand(tmp_path: Path) -> None:
    modules = written(
        tmp_path,
        spt_model="if TYPE_CHECKING:\n    import spt.data\ndef f():\n    from .data import loading\n",
    )
    assert imported_modules(modules) == {
        "spt": set(),
        "spt.errors": set(),
        "spt.model": {"spt.errors", "spt.data", "spt.data.loading"},
        "spt.data": set(),
        "spt.data.loading": {"spt.errors"},
        "strategies": {"spt.model"},
    }


def test_a_tidy_tree_has_no_circles(tmp_path: Path) -> None:
    text, clean = report(written(tmp_path))
    assert clean and "circles: 0" in text and "imports the wrong way: 0" in text


@pytest.mark.parametrize("line", ["import spt.model", "def f():\n    from spt.model import Model"])
def test_modules_that_import_each_other_are_a_circle(line: str, tmp_path: Path) -> None:
    modules = written(tmp_path, spt_errors=line)
    assert all_circles(modules) == [["spt.errors", "spt.model"]]
    text, clean = report(modules)
    assert "circles: 1\n  spt.errors <-> spt.model" in text and not clean


@pytest.mark.parametrize(("one", "other"), [("more", "parts"), ("data_rows", "data_labels")])
def test_folders_that_import_each_other_are_a_circle_though_no_modules_do(
    one: str, other: str, tmp_path: Path
) -> None:
    first, second = (f"spt.{folder.replace('_', '.')}" for folder in (one, other))
    lines = {
        f"spt_{one}_a": f"import {second}.a\n",
        f"spt_{one}_b": "",
        f"spt_{other}_a": "",
        f"spt_{other}_b": f"from {first}.b import x\n",
    }
    assert all_circles(written(tmp_path, **lines)) == [sorted([first, second])]


def test_longer_circles_are_told_from_what_only_leads_into_them() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"f"}, "f": {"e", "a"}}
    assert circles(edges) == [["b", "c"], ["e", "f"]]


@pytest.mark.parametrize(
    "line", ["from strategies import x", "def f():\n    import strategies.x", "load('strategies.x')"]
)
def test_a_later_room_is_not_imported_nor_named(line: str, tmp_path: Path) -> None:
    modules = written(tmp_path, spt_errors=line, strategies_x="")
    assert len(wrong_ways(modules)) == 1
    assert wrong_ways(modules)[0][0] == "spt.errors"
    assert not report(modules)[1]


def test_the_front_door_alone_hands_the_estimator_on(tmp_path: Path) -> None:
    upwards = "from experiments.estimator import Estimator\nNAMES = {'Estimator': 'experiments.estimator'}\n"
    assert wrong_ways(written(tmp_path, spt=upwards, experiments_estimator="")) == []
    modules = written(tmp_path, spt_model=upwards, experiments_estimator="")
    assert wrong_ways(modules) == [("spt.model", "experiments.estimator")]


def test_the_tree_has_a_line_a_folder(tmp_path: Path) -> None:
    lines = [line.split() for line in tree_lines(written(tmp_path))]
    assert lines == [
        ["spt/", "11", "The", "method."],
        ["data/", "7", "Rows."],
        ["strategies/", "3", "How."],
    ]


def test_the_command_prints_the_rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["imports"])
    for line in ("spt/", "  prompts/", "benchmarks/", "imports the wrong way: 0"):
        assert line in result.output
