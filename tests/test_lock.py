"""requirements.lock pins every dependency to one file, and says nothing of the machine it was made on."""

import os
import platform
import re
import subprocess
import sys
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


def test_the_lock_is_installed_where_it_was_made_for_and_no_gpu_is_left_idle(tmp_path: Path) -> None:
    def fits(path: str) -> bool:
        command = [sys.executable, ROOT / ".ci" / "lock.py", "--fits"]
        return subprocess.run(command, env={**os.environ, "PATH": path}, check=False).returncode == 0

    here = f"Python {sys.version_info[0]}.{sys.version_info[1]} on {sys.platform} {platform.machine()} "
    first = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()[0]
    assert fits(str(tmp_path)) == (here in first)
    (tmp_path / "nvidia-smi").touch(mode=0o755)
    assert not fits(str(tmp_path))
