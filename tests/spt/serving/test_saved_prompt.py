"""A saved prompt is compared with its backbone and its weights before anything of its sizes is made."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from spt.architecture import PromptLayers
from spt.data.config import DataConfig
from spt.errors import InputError
from spt.prefix_cache import PrefixCache
from spt.serving.classifier import PromptClassifier
from spt.serving.saved_prompt import SavedPrompt
from spt.workbench import Workbench
from tests.support.classifiers import TEXTS, classifier, kinds_classifier
from tests.support.tiny import make_backbone

KINDS = {0: "scaling", 1: "free_7", 2: "generated_offset", 3: "insert"}
PROMPTS: list[dict[str, Any]] = [
    {},
    {"generator": "naive"},
    {"generator": "free"},
    {"shared": True},
    {"phm_order": 1},
    {"generator": "scaling"},
]


@pytest.mark.parametrize("prompt", PROMPTS, ids=str)
def test_the_least_numbers_are_those_saved_but_for_biases(prompt: dict[str, Any], tmp_path: Path) -> None:
    made = classifier(tmp_path, (1, 2, 3), prompt={"length": 3, "bottleneck": 8, "phm_order": 2, **prompt})
    made.save_pretrained(tmp_path / "model")
    saved = SavedPrompt.read(tmp_path / "model")
    numbers = sum(weight.numel() for weight in saved.weights.values())
    of_the_head, of_two_layers = 2, 2 * 3 * 32
    biases = of_the_head + (of_two_layers if "shared" in prompt else 0)
    assert saved._least_numbers(32) == numbers - biases
    saved.check_sizes(made.model.backbone)


@pytest.mark.parametrize("shared", [False, True])
def test_what_each_layer_got_is_saved_and_read_back(shared: bool, tmp_path: Path) -> None:
    made = kinds_classifier(tmp_path, KINDS, prompt={"shared": shared})
    made.save_pretrained(tmp_path / "model")
    content = json.loads((tmp_path / "model" / "prompt.json").read_text("utf-8"))
    assert content["architecture"] == {"layers": [0, 1, 2, 3], "total": 4, "kinds": list(KINDS.values())}
    assert content["format"] == 7
    read = PromptClassifier.from_pretrained(tmp_path / "model", made.model.backbone, made.tokenizer)
    assert read.architecture == made.architecture
    assert read.predict_proba(TEXTS).tolist() == made.predict_proba(TEXTS).tolist()


def test_prompts_that_earlier_versions_know_are_written_as_those_wrote_them(tmp_path: Path) -> None:
    classifier(tmp_path, (1, 3)).save_pretrained(tmp_path / "plain")
    plain = json.loads((tmp_path / "plain" / "prompt.json").read_text("utf-8"))
    assert (plain["format"], plain["architecture"]) == (6, {"layers": [1, 3], "total": 4})
    classifier(tmp_path, (1, 3), prompt={"generator": "scaling"}).save_pretrained(tmp_path / "scaling")
    scaling = json.loads((tmp_path / "scaling" / "prompt.json").read_text("utf-8"))
    assert (scaling["format"], scaling["architecture"]) == (7, {"layers": [1, 3], "total": 4})


def test_a_prompt_of_before_there_were_offsets_has_none(tmp_path: Path) -> None:
    made = classifier(tmp_path, (1, 3), prompt={"zero_start": False, "token_offset": False})
    made.save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "prompt.json"
    content = json.loads(path.read_text("utf-8"))
    for option in ("zero_start", "token_offset"):
        del content["spec"]["prompt"][option]
    path.write_text(json.dumps(content), "utf-8")
    read = PromptClassifier.from_pretrained(tmp_path / "model", made.model.backbone, made.tokenizer)
    assert read.predict_proba(TEXTS).tolist() == made.predict_proba(TEXTS).tolist()
    assert read.spec == made.spec


def test_a_backbone_by_a_relative_path_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_backbone(tmp_path / "models" / "tiny")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    rows = {"train": {"text": [f"{word} film {i}" for i in range(20) for word in ("fine", "dull")]}}
    rows["train"]["label"] = ["good", "bad"] * 20
    data = DataConfig(max_length=32)
    bench = Workbench.load(rows=rows, backbone="models/tiny", data=data, cache=PrefixCache("off"))
    layers = PromptLayers.of([1], 4)
    made = PromptClassifier(bench.factory.model(layers), bench.tokenizer, bench.spec, layers)
    made.save_pretrained("model")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(PromptClassifier.from_pretrained("../model").predict(["fine"])) == 1
    shutil.rmtree(tmp_path / "models")
    where = re.escape(str(tmp_path / "models" / "tiny"))
    said = rf"in '../model' was trained on the backbone '{where}'\. .*does not exist"
    with pytest.raises(InputError, match=said):
        PromptClassifier.from_pretrained("../model")
