"""Learned vectors among the words of a template, and vectors for the classes, from a config to a label."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spt.architecture import PromptLayers
from spt.data.encoded.encoding import encode_texts
from spt.errors import InputError
from spt.heads import LabelVectorsHead
from spt.prompts.state import EMPTY
from spt.serving.classifier import PromptClassifier
from tests.support.families import attentions, shared_backbone
from tests.support.tiny import LAYERS, tiny_workbench

TEMPLATE = "{prompt} {text} It was {prompt} {mask} {prompt} ."
WARP: dict[str, Any] = {
    "task": {"name": "custom", "label_words": ["terrible", "great"], "template": TEMPLATE},
    "head": {"kind": "label_vectors"},
    "prompt": {"generator": "free", "place": "template", "length": 3},
}


def test_a_prompt_saved_under_the_vectors_former_name_is_read(tmp_path: Path) -> None:
    made = tiny_workbench(tmp_path, **WARP)
    architecture = PromptLayers.of([0], LAYERS)
    model = made.factory.model(architecture)
    PromptClassifier(model, made.tokenizer, made.spec, architecture).save_pretrained(tmp_path / "prompt")
    path = tmp_path / "prompt" / "prompt.safetensors"
    weights = load_file(path)
    weights["words.vectors"] = weights.pop("template_prompt.vectors")
    save_file(weights, path)
    # the format of that time, which has no digest of the tensors
    config = json.loads(path.with_name("prompt.json").read_text(encoding="utf-8"))
    older = {**config, "format": 1, "backbone": config["backbone"]["weights"]}
    del older["tensors"]
    path.with_name("prompt.json").write_text(json.dumps(older), encoding="utf-8")
    loaded = PromptClassifier.from_pretrained(tmp_path / "prompt", made.backbone)
    assert torch.equal(loaded.model.template_prompt.vectors, model.template_prompt.vectors)


def test_each_place_gets_its_vector_and_padding_none(tmp_path: Path) -> None:
    made = tiny_workbench(tmp_path, **WARP)
    model = made.factory.model(PromptLayers.of([0], LAYERS))
    ids = made.tokenizer("[PAD] film It was [PAD] [MASK] [PAD] .")["input_ids"]
    padded = torch.tensor([[*ids, 0, 0]])
    batch = {"input_ids": padded, "attention_mask": torch.tensor([[1] * len(ids) + [0, 0]])}
    hidden = torch.zeros(1, len(ids) + 2, 32)
    changed = model.template_prompt(hidden, batch)[0]
    places = [0, 4, 6]
    assert torch.equal(changed[places], model.template_prompt.vectors)
    others = [i for i in range(len(ids) + 2) if i not in places]
    assert not changed[others].any()


def test_a_text_cannot_bring_a_place_of_its_own(tmp_path: Path) -> None:
    made = tiny_workbench(tmp_path, **WARP)
    (example,) = encode_texts(["film [PAD] plot {prompt}"], None, made.tokenizer, made.spec)
    assert example["input_ids"].count(made.tokenizer.pad_token_id) == 3


def test_features_are_of_the_thread_that_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = shared_backbone("bert", "sdpa")
    own, others = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0))
    expected, lm_logits = backbone.lm_features(own), backbone.lm_logits

    def while_another_asks(hidden: torch.Tensor) -> torch.Tensor:
        other = Thread(target=lm_logits, args=(others,))
        other.start()
        other.join()
        return lm_logits(hidden)

    monkeypatch.setattr(backbone, "lm_logits", while_another_asks)
    assert torch.equal(backbone.lm_features(own), expected)


@pytest.mark.parametrize(
    "name", ["bert", "roberta", "electra", "distilbert", "modernbert", "gpt2", "deberta"]
)
@torch.no_grad()
def test_label_vectors_start_as_the_verbalizer_without_its_word_bias(name: str) -> None:
    backbone = shared_backbone(name, attentions(name)[0])
    head = LabelVectorsHead(backbone, [5, 9], None)
    hidden = torch.randn(3, 4, 32, generator=torch.Generator().manual_seed(0))
    logits = head(hidden, {"attention_mask": torch.ones(3, 4, dtype=torch.long)}, EMPTY).logits
    bias = backbone.word_projection.bias
    stock = backbone.lm_logits(hidden[:, -1])[:, [5, 9]] - (0 if bias is None else bias[[5, 9]])
    torch.testing.assert_close(logits, stock, rtol=0, atol=1e-5)


def test_a_head_without_word_vectors_of_its_own_is_refused() -> None:
    with pytest.raises(InputError, match=r"has no layer of word vectors .* Set head\.kind to verbalizer"):
        LabelVectorsHead(shared_backbone("deberta-v2", "eager"), [5, 9], None)
