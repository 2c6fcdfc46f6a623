"""What a measurement says of the code that made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks import provenance
from benchmarks.provenance import PACKAGE, code_commit, made_now


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    code_commit.cache_clear()
    git(tmp_path, "init", "-q")
    (tmp_path / "spt").mkdir()
    (tmp_path / "spt" / "model.py").write_text("a = 1\n")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def commit(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "change")
    return git(folder, "rev-parse", "--short=10", "HEAD").strip()


def test_the_version_has_the_last_commit_that_changed_code(checkout: Path) -> None:
    (checkout / "spt" / "model.py").write_text("a = 2\n")
    of_code = commit(checkout)
    (checkout / "README.md").write_text("words\n")
    commit(checkout)
    made = made_now("python -m benchmarks speed")
    assert made.versions[PACKAGE].endswith(f"+{of_code}")
    assert made.command == "python -m benchmarks speed"


@pytest.mark.parametrize("name", ["spt/model.py", "benchmarks/pages/new.py"])
def test_code_that_is_not_that_of_the_commit_is_told(name: str, checkout: Path) -> None:
    path = checkout / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a = 3\n")
    assert made_now().versions[PACKAGE].endswith(".changed")


def test_results_are_no_change_of_the_code(checkout: Path) -> None:
    (checkout / "benchmarks" / "results").mkdir(parents=True)
    (checkout / "benchmarks" / "results" / "speed.json").write_text("{}")
    assert not made_now().versions[PACKAGE].endswith(".changed")


def test_a_copy_without_history_has_the_version_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code_commit.cache_clear()
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "+" not in made_now().versions.get(PACKAGE, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    code_commit.cache_clear()
    assert "+" not in made_now().versions.get(PACKAGE, "")
