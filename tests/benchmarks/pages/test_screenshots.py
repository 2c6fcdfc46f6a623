"""What pictures are taken of, and of which Chromium."""

from pathlib import Path

import pytest

from benchmarks.pages.browser import NAMES, VARIABLE, address, chromium, find_chromium
from benchmarks.pages.screenshots import named_pages
from spt.errors import InputError


def program(folder: Path, name: str) -> Path:
    path = folder / name
    path.touch(mode=0o755)
    return path


def test_chromium_is_found_by_its_names_or_by_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    assert find_chromium() is None
    with pytest.raises(InputError, match=r"none of chromium, .* apt-get install chromium"), chromium():
        pass
    last = program(tmp_path, NAMES[-1])
    assert find_chromium() == str(last)
    first = program(tmp_path, NAMES[0])
    assert find_chromium() == str(first)
    own = program(tmp_path, "own")
    monkeypatch.setenv(VARIABLE, str(own))
    assert find_chromium() == str(own)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(InputError, match="must be the path of a program"):
        find_chromium()


def test_pages_are_named_and_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    page = program(tmp_path, "a=b.html")
    assert named_pages([f"run={page}", "site=http://localhost:1/"]) == {
        "run": str(page),
        "site": "http://localhost:1/",
    }
    with pytest.raises(InputError) as refused:
        named_pages([f"run={page}", f"run={page}", "page.html", "../x=y", "gone=gone.html"])
    for said in ("'run' is given twice", "'page.html' must be", "'../x=y' must be", "'gone.html' must be a"):
        assert said in str(refused.value)


def test_a_page_is_opened_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert address(Path("a b.html")) == f"file://{tmp_path}/a%20b.html"
    assert address("http://localhost:1/") == "http://localhost:1/"
