"""Which room may know which: spt <- search_spaces <- strategies <- experiments."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("spt", "search_spaces", "strategies", "experiments")
FRAMEWORKS = {
    "nni": {"search_spaces", "strategies", "experiments"},
    "ray": {"strategies", "experiments"},
    "optuna": {"experiments"},
    "typer": {"experiments"},
    "rich": {"experiments"},
    "transformers": {"spt"},
    "datasets": {"spt"},
    "jinja2": {"spt"},
    "matplotlib": {"spt", "experiments"},
    "pytorch_lightning": {"spt", "strategies"},
    "peft": set(),
}
# the import name, where it differs from the name in pyproject.toml
PACKAGES = {"yaml": "pyyaml", "sklearn": "scikit-learn", "lightning_fabric": "pytorch-lightning"}


def imported(path: Path) -> Iterator[str]:
    """The top-level names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} has a relative import"
            yield node.module.split(".")[0]


def imports_of(room: str) -> set[tuple[str, str]]:
    """(file, imported name) of all files of a room."""
    return {
        (str(path.relative_to(ROOT)), name) for path in (ROOT / room).rglob("*.py") for name in imported(path)
    }


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_those_before_it(room: str) -> None:
    later = ROOMS[ROOMS.index(room) + 1 :]
    assert not [pair for pair in imports_of(room) if pair[1] in later]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_is_imported_in_its_rooms_only(framework: str) -> None:
    others = [room for room in ROOMS if room not in FRAMEWORKS[framework]]
    assert not [pair for room in others for pair in imports_of(room) if pair[1] == framework]


def test_what_is_imported_is_a_declared_dependency() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    known = {*ROOMS, "benchmarks", *sys.stdlib_module_names}
    names = {name for room in ROOMS for _, name in imports_of(room)} - known
    missing = [name for name in names if f'"{PACKAGES.get(name, name.replace("_", "-"))}' not in declared]
    assert not missing
