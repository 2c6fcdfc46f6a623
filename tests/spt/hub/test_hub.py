"""Prompts that are sent to a hub and fetched from it: our files alone, checked, and by a revision."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, constants

from spt.errors import InputError
from spt.hub.download import prompt_folder
from spt.saved_folders import PROMPT_FILES
from spt.serving.classifier import PromptClassifier
from tests.support.classifiers import TEXTS, classifier
from tests.support.fake_hub import FakeHub, serving

NAME = "user/questions"


@pytest.fixture(scope="module")
def prompt(tmp_path_factory: pytest.TempPathFactory) -> PromptClassifier:
    return classifier(tmp_path_factory.mktemp("home"), (2,))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub without repositories, an empty cache, and a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    repositories = FakeHub()
    with serving(repositories):
        yield repositories


def answers(prompt: PromptClassifier) -> list[str | None]:
    return [answer.label for answer in prompt.predict(TEXTS)]


def test_what_is_pushed_is_what_is_loaded_by_its_revision(prompt: PromptClassifier, hub: FakeHub) -> None:
    first = prompt.push_to_hub(NAME)
    assert set(hub.commits[NAME][first]) == {
        ".gitattributes",
        "prompt.json",
        "prompt.safetensors",
        "README.md",
    }
    # a later commit that no program could read
    hub.add(NAME, {"prompt.json": b"{}"})
    loaded = PromptClassifier.from_pretrained(NAME, revision=first)
    assert loaded.predict_proba(TEXTS).tolist() == prompt.predict_proba(TEXTS).tolist()
    with pytest.raises(InputError, match="has format None"):
        PromptClassifier.from_pretrained(NAME)


@pytest.mark.usefixtures("hub")
def test_a_branch_is_made_and_loaded(prompt: PromptClassifier) -> None:
    prompt.push_to_hub(NAME, revision="better", message="Two more epochs")
    assert answers(PromptClassifier.from_pretrained(NAME, revision="better")) == answers(prompt)
    with pytest.raises(InputError, match=r"it has no prompt.json"):
        PromptClassifier.from_pretrained(NAME)


def test_a_card_goes_with_its_prompt(prompt: PromptClassifier, hub: FakeHub, tmp_path: Path) -> None:
    commit = prompt.push_to_hub(NAME)
    assert "None were given" in hub.commits[NAME][commit]["README.md"].decode()
    prompt.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text(
        "---\ntags: [mine]\n---\nA card of my own.\n", encoding="utf-8"
    )
    commit = PromptClassifier.from_pretrained(tmp_path / "model").push_to_hub(NAME)
    assert ModelCard(hub.commits[NAME][commit]["README.md"].decode()).data.tags == ["mine"]


def test_what_another_prompt_left_is_removed_and_nothing_else(prompt: PromptClassifier, hub: FakeHub) -> None:
    hub.add(NAME, {".gitattributes": b""})
    for branch in ("better", "main"):
        others = {"LICENSE": b"mine", "more/estimator.json": b"{}", "estimator.json.bak": b"{}"}
        hub.add(NAME, {".gitattributes": b"", "estimator.json": b"{}", **others}, branch)
        commit = prompt.push_to_hub(NAME, revision=branch)
        sent = {"prompt.json", "prompt.safetensors", "README.md"}
        assert set(hub.commits[NAME][commit]) == {".gitattributes", *others, *sent}


def test_nothing_but_our_files_is_fetched(prompt: PromptClassifier, hub: FakeHub) -> None:
    prompt.push_to_hub(NAME)
    hub.add(
        NAME, {"pytorch_model.bin": pickle.dumps("no"), "run.py": b"raise SystemExit", "prompt.json.pkl": b""}
    )
    folder = prompt_folder(NAME)
    assert {path.name for path in folder.rglob("*")} <= set(PROMPT_FILES)
    assert set(hub.fetched) <= set(PROMPT_FILES)


def test_a_file_that_was_changed_on_the_hub_is_refused(prompt: PromptClassifier, hub: FakeHub) -> None:
    commit = prompt.push_to_hub(NAME)
    weights = hub.commits[NAME][commit]["prompt.safetensors"]
    hub.add(NAME, {"prompt.safetensors": weights[:-1] + bytes([weights[-1] ^ 1])})
    with pytest.raises(InputError, match="is damaged: its SHA-256"):
        PromptClassifier.from_pretrained(NAME)


def test_a_folder_wins_over_the_hub(prompt: PromptClassifier, hub: FakeHub) -> None:
    hub.add(NAME, {"prompt.json": b"{}"})
    prompt.save_pretrained(NAME)
    assert answers(PromptClassifier.from_pretrained(NAME)) == answers(prompt)
    with pytest.raises(InputError, match=r"revision is 'v1', but 'user/questions' is read as a folder"):
        PromptClassifier.from_pretrained(NAME, revision="v1")
    # beside a folder that is here, a name that is not is a mistake of ours and no name of the hub
    with pytest.raises(InputError, match="'user/other' is not a saved prompt"):
        PromptClassifier.from_pretrained("user/other")
    assert hub.fetched == []


def test_a_path_is_never_asked_of_the_hub(hub: FakeHub) -> None:
    hub.add(NAME, {"prompt.json": b"{}"})
    with pytest.raises(InputError, match="is not a saved prompt"):
        PromptClassifier.from_pretrained(Path(NAME))
    assert hub.fetched == []


def test_errors_say_what_to_do(prompt: PromptClassifier, hub: FakeHub) -> None:
    prompt.push_to_hub(NAME)
    with pytest.raises(InputError, match=r"There is no 'user/missing' on http.*hf auth login"):
        PromptClassifier.from_pretrained("user/missing")
    with pytest.raises(InputError, match="has no revision 'v9'"):
        PromptClassifier.from_pretrained(NAME, revision="v9")
    hub.refused["user/gated"] = "GatedRepo"
    with pytest.raises(InputError, match=r"'user/gated' on .* is gated. Accept its terms"):
        PromptClassifier.from_pretrained("user/gated")


@pytest.mark.usefixtures("hub")
def test_without_a_network_the_cache_is_read(
    prompt: PromptClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = prompt.push_to_hub(NAME)
    assert answers(PromptClassifier.from_pretrained(NAME)) == answers(prompt)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for revision in (None, commit):
        assert answers(PromptClassifier.from_pretrained(NAME, revision=revision)) == answers(prompt)
    with pytest.raises(InputError, match=r"There is no folder 'user/other'.*HF_HUB_OFFLINE is set"):
        PromptClassifier.from_pretrained("user/other")
    with pytest.raises(InputError, match=r"takes no upload .*offline"):
        prompt.push_to_hub(NAME)


@pytest.mark.usefixtures("hub")
def test_an_address_that_does_not_answer_is_said(
    prompt: PromptClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nothing listens on the discard port
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"There is no folder 'user/other', and .* cannot be read now"):
        PromptClassifier.from_pretrained("user/other")
    with pytest.raises(InputError, match="takes no upload"):
        prompt.push_to_hub(NAME)


@pytest.mark.parametrize("name", ["questions", "user/questions/more", "../user", "user/a b"])
def test_a_name_that_no_repository_can_have_is_refused(name: str, prompt: PromptClassifier) -> None:
    with pytest.raises(InputError, match="is no name of the hub"):
        prompt.push_to_hub(name)


def test_a_backbone_of_this_machine_is_warned_of(
    prompt: PromptClassifier, hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "spt"):
        commit = prompt.push_to_hub(NAME)
    assert "whose path goes to the hub" in caplog.text
    card = ModelCard(hub.commits[NAME][commit]["README.md"].decode())
    assert card.data.base_model is None
    path = json.loads(hub.commits[NAME][commit]["prompt.json"])["spec"]["backbone"]["name"]
    assert path not in str(card)
