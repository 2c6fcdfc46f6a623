"""A backbone of two layers, and prompts saved over it: what models are damaged from, made once a process."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from spt.architecture import PromptLayers
from spt.backbones.base import Backbone
from spt.build import load_backbone, load_tokenizer, new_factory
from spt.prompts.config import PromptConfig
from spt.serving.classifier import PromptClassifier
from spt.spec import BackboneConfig, HeadConfig, ModelSpec
from spt.tasks import get_task

Files = Mapping[str, bytes]
LAYERS, LENGTH = 2, 16
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]", "cls_token": "[CLS]"}
WORDS = [*SPECIAL.values(), "fine", "dull", "the", "film", "was", "it", "."]
TEXTS = ["the film was fine", "dull"]
PROMPTS: tuple[dict[str, Any], ...] = (
    {},
    {"generator": "naive"},
    {"generator": "free"},
    {"shared": True},
    {"phm_order": 1, "pooler": "attention"},
)


class Loaded(NamedTuple):
    """Hold a loaded backbone with its tokenizer."""

    backbone: Backbone
    tokenizer: Any


def spec_of(folder: Path, prompt: Mapping[str, Any]) -> ModelSpec:
    """Return the spec of a prompt over the backbone in a folder."""
    return ModelSpec(
        backbone=BackboneConfig(name=str(folder)),
        head=HeadConfig(),
        prompt=PromptConfig(**{"length": 2, "bottleneck": 4, "phm_order": 2, **prompt}),
        task=get_task("custom").model_copy(update={"labels": ("bad", "good")}),
        max_length=LENGTH,
    )


@cache
def backbone_files() -> Files:
    """Make the backbone and return its files."""
    with tempfile.TemporaryDirectory() as folder:
        _make_backbone(Path(folder))
        return _files(Path(folder))


@cache
def home() -> Path:
    """Return a folder with the backbone, which stays while this process runs."""
    folder = Path(_kept().name)
    _make_backbone(folder)
    return folder


@cache
def loaded() -> Loaded:
    """Load the backbone at home."""
    spec = spec_of(home(), {})
    return Loaded(load_backbone(spec), load_tokenizer(spec))


@cache
def prompt_files() -> tuple[Files, ...]:
    """Save a prompt of each kind over the backbone at home, and return their files."""
    backbone, tokenizer = loaded()
    layers = PromptLayers.of([0, 1], LAYERS)
    saved = []
    for prompt in PROMPTS:
        spec = spec_of(home(), prompt)
        model = new_factory(spec, backbone, tokenizer, seed=0).model(layers)
        with tempfile.TemporaryDirectory() as folder:
            PromptClassifier(model, tokenizer, spec, layers).save_pretrained(Path(folder) / "prompt")
            saved.append(_files(Path(folder) / "prompt"))
    return tuple(saved)


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def _make_backbone(folder: Path) -> None:
    tokenizer = Tokenizer(
        WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token=SPECIAL["unk_token"])
    )
    tokenizer.pre_tokenizer = Whitespace()
    fast: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=LENGTH, **SPECIAL)  # type: ignore[no-untyped-call]
    fast.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(WORDS),
            hidden_size=8,
            num_hidden_layers=LAYERS,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=LENGTH,
        )
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)


def _files(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
