"""Which prompts are served, and what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.serving.folders import PromptFolders
from spt.errors import InputError
from tests.support.killed import dead_process, replaced_name
from tests.support.serving import close


def make_prompts(home: Path, *names: str) -> None:
    for name in names:
        folder = home / name
        folder.mkdir(parents=True)
        (folder / "prompt.json").touch()


def names(*arguments: object) -> list[str]:
    return [prompt.name for prompt in PromptFolders.of(list(map(str, arguments))).current().prompts]


def test_a_prompt_is_called_as_its_folder_or_its_run_or_as_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_prompts(tmp_path, "runs/trec/model", "spam", "a=b")
    monkeypatch.chdir(tmp_path / "spam")
    assert names(tmp_path / "runs" / "trec" / "model", ".") == ["trec", "spam"]
    assert names(f"questions={tmp_path / 'runs' / 'trec' / 'model'}", tmp_path / "spam") == [
        "questions",
        "spam",
    ]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"would be called 'a=b', but a name .* Name it: NAME=FOLDER"):
        names("a=b")
    assert names("ab=a=b") == ["ab"]


def test_a_folder_of_prompts_gives_those_that_are_there_now(tmp_path: Path) -> None:
    # what saving has there for a moment
    make_prompts(
        tmp_path, "shelf/a", "shelf/b", "shelf/.b.host.12.0.spt.partial", "shelf/.b.host.12.0.spt.old"
    )
    (tmp_path / "shelf" / "notes").mkdir()
    folders = PromptFolders.of([str(tmp_path / "shelf")])
    assert [prompt.name for prompt in folders.current().prompts] == ["a", "b"]
    make_prompts(tmp_path, "shelf/d")
    (tmp_path / "shelf" / "a").rename(tmp_path / "gone")
    assert [prompt.name for prompt in folders.current().prompts] == ["b", "d"]


def test_prompts_whose_writers_were_killed_are_put_back(tmp_path: Path) -> None:
    killed = dead_process()
    make_prompts(tmp_path / "shelf", "spam", replaced_name("team.two", killed))
    make_prompts(tmp_path, replaced_name("alone", killed))
    assert names(tmp_path / "shelf", tmp_path / "alone") == ["alone", "spam", "team.two"]


def test_a_run_is_a_folder_of_its_prompt(tmp_path: Path) -> None:
    make_prompts(tmp_path, "runs/trec/model")
    assert names(tmp_path / "runs" / "trec") == ["trec"]


def test_what_cannot_be_read_is_refused_when_the_server_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_prompts(tmp_path, "shelf/a", "shelf/b", "named", "closed/c")
    for folder in ("shelf/b", "named", "closed"):
        close(tmp_path / folder, monkeypatch)
    with pytest.raises(InputError, match="3 problems in the folders") as error:
        names(tmp_path / "shelf", tmp_path / "named", tmp_path / "closed")
    for folder, text in zip(("shelf/b", "named", "closed"), error.value.problems, strict=True):
        assert (
            text
            == f"'{tmp_path / folder}' cannot be read: Permission denied. Mend its mode, or leave it out."
        )


def test_a_prompt_whose_description_leads_in_a_circle_is_unreadable_and_no_other_is(tmp_path: Path) -> None:
    make_prompts(tmp_path, "shelf/a", "shelf/b")
    folders = PromptFolders.of([str(tmp_path / "shelf")])
    circle = tmp_path / "shelf" / "a" / "prompt.json"
    circle.unlink()
    circle.symlink_to(circle.name)
    listing = folders.current()
    assert [prompt.name for prompt in listing.prompts] == ["b"]
    assert [folder.name for folder in listing.unreadable] == ["a"]


def test_all_that_cannot_be_served_is_named_at_once(tmp_path: Path) -> None:
    make_prompts(tmp_path, "a", "shelf/a")
    (tmp_path / "empty").mkdir()
    arguments = [
        tmp_path / "none",
        tmp_path / "empty",
        f"x={tmp_path / 'shelf'}",
        tmp_path / "a",
        tmp_path / "shelf",
    ]
    with pytest.raises(InputError, match="4 problems in the folders") as error:
        names(*arguments)
    *neither, twice = error.value.problems
    assert all("is neither a saved prompt nor a folder of some" in text for text in neither)
    assert "would all be called 'a'" in twice and "OTHER=" in twice
