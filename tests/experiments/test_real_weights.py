"""Families on real weights, as far as they are embedded and already in the cache folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from experiments.config import load_config
from experiments.run.training import load_workbench
from spt.architecture import PromptLayers
from spt.assets import ASSETS, backbone_path, cache_folder
from spt.backbones.registry import load_backbone
from spt.data.encoded.batches import make_loader
from spt.data.encoded.encoding import encode_texts
from spt.data.encoded.label_words import label_word_ids
from spt.heads import VerbalizerHead
from spt.model import PromptedModel
from spt.prompts.choices import Propagate
from spt.prompts.state import EMPTY
from spt.tasks import get_task
from tests.support.tiny import text_spec

pytestmark = pytest.mark.slow
TEXTS = ["How far is it from Denver to Aspen ?", "Who ?", "What is the full form of .com ?"]
CONFIGS = Path("experiments/configs/methods")
METHODS = ["prompt_tuning", "deep_prompts", "late_prompt", "lpt_naive", "lpt_average", "lpt_max"]
METHODS += ["idpg", "soft_words", "warp"]


def needs(*names: str) -> None:
    """Skip where an asset would have to be downloaded."""
    for name in names:
        if not (cache_folder() / f"{name}-{ASSETS[name].version}").is_dir():
            pytest.skip(f"'{name}' is not in the cache folder")


def batch(tokenizer: Any, template: bool) -> Any:
    examples = encode_texts(TEXTS, None, tokenizer, text_spec(get_task("trec"), 64, template))
    (made,) = make_loader(examples, tokenizer, batch_size=8)
    return made


@torch.no_grad()
@pytest.mark.parametrize(("name", "layers"), [("minilm-l6", 6), ("e5-small", 12)])
def test_bert_equals_hugging_face(name: str, layers: int) -> None:
    needs(name)
    path = backbone_path(name)
    given = batch(AutoTokenizer.from_pretrained(path), template=False)
    backbone = load_backbone(name)
    assert backbone.num_layers == layers
    inputs = {key: value for key, value in given.items() if key != "labels"}
    expected = AutoModel.from_pretrained(path).eval()(**inputs).last_hidden_state
    hidden = backbone.embed(inputs)
    frame = backbone.frame(hidden, inputs["attention_mask"], EMPTY)
    for index in range(backbone.num_layers):
        hidden = backbone.layer(index, hidden, frame)
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(backbone.finish(hidden)[real], expected[real], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_verbalizer_reads_the_masked_language_model_of_splade_tiny() -> None:
    needs("splade-tiny")
    path = backbone_path("splade-tiny")
    tokenizer = AutoTokenizer.from_pretrained(path)
    given = batch(tokenizer, template=True)
    words = tokenizer.convert_tokens_to_ids(["place", "person", "number"])
    backbone = load_backbone("splade-tiny", language_model=True)
    head = VerbalizerHead(backbone, words, tokenizer.mask_token_id)
    ours = PromptedModel(backbone, [Propagate()] * backbone.num_layers, head)(given).logits
    inputs = {name: given[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    logits = AutoModelForMaskedLM.from_pretrained(path).eval()(**inputs).logits
    at = inputs["input_ids"] == tokenizer.mask_token_id
    torch.testing.assert_close(ours, logits[at][:, words], rtol=0, atol=1e-4)


@torch.no_grad()
def test_e5_knows_what_texts_mean() -> None:
    needs("e5-small")
    path = backbone_path("e5-small")
    texts = ["query: how much protein a day", "passage: Adults need 50 g of it daily.", "passage: Paris"]
    given = AutoTokenizer.from_pretrained(path)(texts, padding=True, return_tensors="pt")
    hidden = AutoModel.from_pretrained(path, add_pooling_layer=False).eval()(**given).last_hidden_state
    real = given["attention_mask"].unsqueeze(-1)
    query, answer, other = torch.nn.functional.normalize((hidden * real).sum(1) / real.sum(1), dim=-1)
    assert query @ answer > query @ other + 0.03


@torch.no_grad()
def test_a_verbalizer_reads_the_next_word_of_smollm2() -> None:
    needs("smollm2-135m")
    path = backbone_path("smollm2-135m")
    tokenizer = AutoTokenizer.from_pretrained(path)
    config = load_config(Path("experiments/configs/backbones/smollm2-135m.yml"))
    words = label_word_ids(tokenizer, config.task.label_words or ())
    given = batch(tokenizer, template=True)
    backbone = load_backbone("smollm2-135m", language_model=True)
    head = VerbalizerHead(backbone, words, tokenizer.mask_token_id)
    ours = PromptedModel(backbone, [Propagate()] * backbone.num_layers, head)(given).logits
    inputs = {name: given[name] for name in ("input_ids", "attention_mask")}
    positions = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    logits = backbone.model(**inputs, position_ids=positions).logits
    last = inputs["attention_mask"].cumsum(-1).argmax(-1)
    expected = logits[torch.arange(len(TEXTS)), last][:, words]
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)
    # and the model is a language model: it goes on as English does
    text = tokenizer("The capital of France is", return_tensors="pt")
    assert tokenizer.decode(backbone.model(**text).logits[0, -1].argmax()) == " Paris"


@pytest.mark.parametrize("method", METHODS)
def test_each_method_can_take_a_step_on_real_weights(method: str) -> None:
    config = load_config(CONFIGS / f"{method}.yml", {"data.train_size": 60, "threads": 1})
    needs(config.backbone.name, "trec")
    run = load_workbench(config)
    total = run.backbone.num_layers
    layers = {"input": [0], "all": range(total), "middle": [total // 2]}[str(config.search.manual_layers)]
    model = run.factory.model(PromptLayers.of(layers, total)).train()
    (given,) = make_loader(run.examples["train"][:8], run.tokenizer, batch_size=8)
    torch.nn.functional.cross_entropy(model(given).logits, given["labels"]).backward()
    tuned = model.template_prompt if config.prompt.place == "template" else model.choices
    assert all(p.grad is not None and p.grad.isfinite().all() for p in tuned.parameters())
    assert any(p.grad.abs().sum() > 0 for p in tuned.parameters())
