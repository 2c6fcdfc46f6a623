"""Saved prompts of every format that was ever written are opened, and answer as they did then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spt.saved_folders import FORMATS, PROMPT_JSON
from spt.serving.classifier import PromptClassifier

GOLDEN = Path(__file__).parent


def content(folder: str, name: str) -> Any:
    return json.loads((GOLDEN / folder / name).read_text(encoding="utf-8"))


def test_there_is_a_golden_folder_of_each_format() -> None:
    folders = sorted(path.name for path in GOLDEN.glob("format_*"))
    assert folders == [f"format_{number}" for number in FORMATS]
    assert [content(folder, PROMPT_JSON)["format"] for folder in folders] == list(FORMATS)


@pytest.mark.parametrize("number", FORMATS)
def test_it_answers_as_on_the_day_it_was_saved(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # the prompts refer to their backbone by a path that starts here
    monkeypatch.chdir(GOLDEN)
    expected = content(f"format_{number}", "predictions.json")
    classifier = PromptClassifier.from_pretrained(f"format_{number}")
    for row, answer in zip(expected, classifier.predict([row["text"] for row in expected]), strict=True):
        given = answer.as_json()
        assert row.keys() - {"text"} == given.keys()
        for name, value in given.items():
            # labels as they are, probabilities nearly so
            assert value == (pytest.approx(row[name], abs=1e-5) if name.startswith("prob") else row[name])
