"""A prompt knows its backbone: another weight, config or tokenizer is refused, and nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from spt.backbones.identity import BackboneIdentity, tokenizer_digest
from spt.backbones.registry import family, load_backbone
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from spt.serving.server import PromptServer
from tests.support.classifiers import classifier
from tests.support.families import FAMILIES, attentions, tiny_model
from tests.support.tiny import make_backbone, make_tokenizer

ROOT = Path(__file__).parents[3]


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def exchange_words(content: Any) -> None:
    words = content["model"]["vocab"]
    words["great"], words["awful"] = words["awful"], words["great"]


def change_weight(backbone: Path) -> None:
    path = backbone / "model.safetensors"
    weights = {name: weight.clone() for name, weight in load_file(path).items()}
    weights["bert.encoder.layer.0.output.dense.bias"][0] += 1
    save_file(weights, path, metadata={"format": "pt"})


CHANGES: dict[str, Callable[[Path], None]] = {
    "weights": change_weight,
    "config": lambda folder: edit_json(folder / "config.json", lambda c: c.update(hidden_act="relu")),
    "tokenizer": lambda folder: edit_json(folder / "tokenizer.json", exchange_words),
}


@pytest.mark.parametrize("part", CHANGES)
def test_a_backbone_that_was_changed_is_refused_naming_the_part(part: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    classifier(tmp_path, (1,)).save_pretrained(folder)
    CHANGES[part](tmp_path / "backbone")
    message = (
        rf"the prompt in '{folder}' was trained on\. Different: {part} \(digest \w{{12}}, now \w{{12}}\)\."
    )
    with pytest.raises(InputError, match=message):
        PromptClassifier.from_pretrained(folder)
    with pytest.raises(InputError, match=message):
        PromptServer.from_pretrained({"one": folder})


@pytest.mark.parametrize("part", ["config", "tokenizer"])
def test_prompts_of_backbones_with_the_same_weights_are_not_served_together(
    part: str, tmp_path: Path
) -> None:
    first = classifier(tmp_path / "a", (1,))
    make_backbone(tmp_path / "b" / "backbone")
    (tmp_path / "b" / "data.csv").write_bytes((tmp_path / "a" / "data.csv").read_bytes())
    CHANGES[part](tmp_path / "b" / "backbone")
    with pytest.raises(InputError, match=rf"another backbone than the server's\. Different: {part} "):
        PromptServer({"first": first, "second": classifier(tmp_path / "b", (1,))})


@pytest.mark.parametrize("name", FAMILIES)
def test_saving_and_loading_change_no_digest_of_any_family(name: str, tmp_path: Path) -> None:
    attention = attentions(name)[0]
    model = tiny_model(name, attention)
    model.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    first = load_backbone(str(tmp_path), language_model=True, attention=attention)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    identity = BackboneIdentity.of(first, tokenizer)
    assert identity.config == BackboneIdentity.of(family(model.config)(model), tokenizer).config
    # what a call sets in the tokenizer is no change
    tokenizer(["fine"], truncation=True, max_length=5, padding="max_length")
    copy = tmp_path / "copy"
    first.model.save_pretrained(copy)
    tokenizer.save_pretrained(copy)
    again = load_backbone(str(copy), language_model=True, attention=attention)
    assert BackboneIdentity.of(again, AutoTokenizer.from_pretrained(copy)) == identity
    again.model.config.num_attention_heads = 2
    assert BackboneIdentity.of(again, tokenizer).config != identity.config


def test_the_class_that_saved_a_model_is_no_part_of_its_config(tmp_path: Path) -> None:
    make_backbone(tmp_path / "a")
    AutoModel.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    tokenizer = make_tokenizer()
    digests = [BackboneIdentity.of(load_backbone(str(tmp_path / name)), tokenizer) for name in ("a", "b")]
    assert digests[0] == digests[1]


IDENTITY = """
import sys
from transformers import AutoTokenizer
from spt.backbones.identity import BackboneIdentity
from spt.backbones.registry import load_backbone
folder = sys.argv[1]
print(BackboneIdentity.of(load_backbone(folder), AutoTokenizer.from_pretrained(folder)).as_json())
"""


@pytest.mark.slow
def test_every_process_gives_the_same_digests(tmp_path: Path) -> None:
    make_backbone(tmp_path)
    printed = {
        subprocess.run(
            [sys.executable, "-c", IDENTITY, str(tmp_path)],
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            timeout=120,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "5")
    }
    assert len(printed) == 1
    assert "None" not in printed.pop()


class SlowTokenizer:
    """The least that a tokenizer without a fast backend has."""

    is_fast = False
    model_input_names = ("input_ids",)

    def __init__(self, words: dict[str, int], **options: Any) -> None:
        self.words, self.init_kwargs = words, options
        self.special_tokens_map = {"mask_token": "<mask>"}

    def get_vocab(self) -> dict[str, int]:
        return self.words


def test_a_tokenizer_without_a_fast_backend_is_known_by_words_and_options() -> None:
    words = {"a": 0, "b": 1}
    digest = tokenizer_digest(SlowTokenizer(words, lower=True, vocab_file="/here/vocab.txt"))
    assert digest == tokenizer_digest(SlowTokenizer(dict(words), lower=True, vocab_file="/there/vocab.txt"))
    assert digest != tokenizer_digest(SlowTokenizer(words, lower=False))
    assert digest != tokenizer_digest(SlowTokenizer({"a": 1, "b": 0}, lower=True))
