"""requirements.lock pins every dependency to one file, and says nothing of the machine it was made on."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_each_line_is_a_version_and_a_hash_alone() -> None:
    assert len(LINES) > 50
    assert [
        line for line in LINES if not re.fullmatch(r"[\w.-]+==[\w.+!]+ --hash=sha256:[0-9a-f]{64}", line)
    ] == []
    names = [normal(line.split("==")[0]) for line in LINES]
    assert len(set(names)) == len(names)


def test_every_dependency_is_locked() -> None:
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["test"], *extras["bench"], *extras["backbones"]]
    names = {normal(re.split(r"[\[<>=]", requirement)[0]) for requirement in wanted}
    assert names - {normal(line.split("==")[0]) for line in LINES} == set()
