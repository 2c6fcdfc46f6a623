"""Vectors among the words of a template, from a config to a label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.pipeline import run
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from spt.serving.request import Request
from spt.serving.server import PromptServer
from tests.support.runs import tiny_config

pytestmark = pytest.mark.usefixtures("no_report")

TEMPLATE = "{prompt} {text} It was {prompt} {mask} {prompt} ."
WARP: dict[str, Any] = {
    "task": {"name": "custom", "label_words": ["terrible", "great"], "template": TEMPLATE},
    "head": {"kind": "label_vectors"},
    "prompt": {"generator": "free", "place": "template", "length": 3},
    "search": {"strategy": "manual", "manual_layers": [0]},
}


def test_a_run_trains_vectors_among_words_and_for_classes(tmp_path: Path) -> None:
    metrics = run(tiny_config(tmp_path, **WARP), tmp_path / "run")
    assert metrics.prompt_parameters == 3 * 32
    assert metrics.head_parameters == 2 * 32
    loaded = PromptClassifier.from_pretrained(tmp_path / "run" / "model")
    assert loaded.predict(["the film was dull"])[0].label in ("bad", "good")
    server = PromptServer({"warp": loaded, "again": loaded})
    texts = ["the film was dull", "a lovely, lovely plot"]
    alone = [pytest.approx(row, abs=1e-5) for row in loaded.predict_proba(texts)]
    assert server.probabilities([Request(name, text) for text in texts for name in ("warp", "again")]) == [
        row for row in alone for _ in range(2)
    ]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"prompt": {"length": 2}}, "has 3 times {prompt}, but prompt.place is template and prompt.length 2"),
        ({"prompt": {"place": "front"}}, "prompt.place is front"),
        ({"head": {"kind": "classification"}}, "head.kind classification .* reads no template with a mask"),
        (
            {"search": {"strategy": "manual", "manual_layers": [1]}},
            "gives the input a prompt and no other layer",
        ),
        ({"search": {"strategy": "spt_darts"}}, "gives the input a prompt and no other layer"),
    ],
)
def test_what_makes_no_sense_is_refused(sections: dict[str, Any], message: str, tmp_path: Path) -> None:
    search = sections.get("search", WARP["search"])
    merged = {name: {**WARP.get(name, {}), **sections.get(name, {})} for name in {*WARP, *sections}}
    merged["search"] = search
    with pytest.raises(InputError, match=message):
        run(tiny_config(tmp_path, **merged), tmp_path / "run")
