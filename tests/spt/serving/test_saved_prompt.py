"""A saved prompt is compared with its backbone and its weights before anything of its sizes is made."""

from __future__ import annotations

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
from tests.support.classifiers import classifier
from tests.support.tiny import make_backbone

PROMPTS: list[dict[str, Any]] = [
    {},
    {"generator": "naive"},
    {"generator": "free"},
    {"shared": True},
    {"phm_order": 1},
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
