"""A tiny backbone folder and a small labelled data set: whole runs in seconds, without a network."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from spt.data.config import DataConfig
from spt.prefix_cache import PrefixCache
from spt.prompts.config import PromptConfig
from spt.spec import BackboneConfig, HeadConfig, ModelSpec
from spt.tasks import Task, get_task
from spt.training.config import TrainingConfig
from spt.workbench import Workbench

SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]", "cls_token": "[CLS]"}
GOOD = ["fine", "lovely", "great", "superb"]
BAD = ["awful", "dull", "terrible", "poor"]
FILLER = ["the", "film", "plot", "was", "it", "and", "very", "It", ".", "?", ","]
LAYERS = 4


def make_tokenizer(longest: int = 32) -> PreTrainedTokenizerFast:
    """One token a word, and at most `longest` a text."""
    words = [*SPECIAL.values(), *GOOD, *BAD, *FILLER]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=longest, **SPECIAL)


def make_backbone(folder: Path, layers: int = LAYERS, longest: int = 32) -> Path:
    """A random BERT of a few layers with its language-model head, saved like any local model."""
    tokenizer = make_tokenizer(longest)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=longest,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def text_spec(task: Task, max_length: int, template: bool, windows: int | None = None) -> ModelSpec:
    """Describe a model that reads texts so, inside the task's template or alone."""
    return ModelSpec(
        backbone=BackboneConfig(),
        head=HeadConfig(kind="verbalizer" if template else "classification"),
        prompt=PromptConfig(),
        task=task,
        max_length=max_length,
        windows=windows,
    )


def make_data(path: Path, rows: int = 160) -> Path:
    """Sentences whose class a single word decides."""
    random = Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for row in range(rows):
            words = random.choices(FILLER[:7], k=random.randint(3, 9))
            words.insert(random.randrange(len(words)), random.choice(BAD if row % 2 else GOOD))
            writer.writerow([" ".join(words), "bad" if row % 2 else "good"])
    return path


def make_label_sets(path: Path, rows: int = 160) -> Path:
    """Sentences with no label, one, or both: each is there where one of its words is."""
    random = Random(0)
    with path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            words = random.choices(FILLER[:7], k=random.randint(3, 9))
            labels = [name for bit, name in enumerate(("bad", "good")) if row >> bit & 1]
            for label in labels:
                words.insert(random.randrange(len(words)), random.choice(BAD if label == "bad" else GOOD))
            file.write(json.dumps({"text": " ".join(words), "label": labels}) + "\n")
    return path


def tiny_tree(folder: Path, **sections: Any) -> dict[str, Any]:
    """The keys of a run over the tiny backbone and data; `sections` are merged over them."""
    backbone, data = folder / "backbone", folder / "data.csv"
    if not backbone.exists():
        make_backbone(backbone)
        make_data(data)
    tree: dict[str, Any] = {
        "name": "tiny",
        "task": {"name": "custom", "label_words": ["terrible", "great"]},
        "data": {"train": str(data), "dev_size": 20, "test_size": 20, "max_length": 32},
        "backbone": {"name": str(backbone)},
        "prompt": {"length": 3, "bottleneck": 8, "phm_order": 2},
        "search": {"strategy": "spt_darts", "k": 2, "epochs": 2, "warmup_epochs": 0},
        "training": {"epochs": 2, "batch_size": 8, "learning_rate": 0.01},
        "threads": 1,
        # a test must leave nothing in the user's cache folder
        "cache": "off",
    }
    if sections.get("search", {}).get("strategy", "spt_darts") not in ("spt_darts", "darts", "gumbel_darts"):
        # others read no epochs of a warm-up
        tree["search"] = {}
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section} if isinstance(section, dict) else section
    return tree


def tiny_workbench(folder: Path, **sections: Any) -> Workbench:
    """Load a workbench over the tiny backbone and data; `sections` as of `tiny_tree`.

    Generators start at random: untrained prompts that are the same for every text would hide faults.
    """
    tree = tiny_tree(folder, **sections)
    name = tree["task"].get("name", "custom")
    task = Task.model_validate({**get_task(name).model_dump(exclude_unset=True), **tree["task"]})
    return Workbench.load(
        task,
        data=DataConfig(**tree["data"]),
        backbone=BackboneConfig(**tree["backbone"]),
        head=HeadConfig(**tree.get("head", {})),
        prompt=PromptConfig(**{"zero_start": False, **tree["prompt"]}),
        training=TrainingConfig(**tree["training"]),
        seed=tree.get("seed", 0),
        cache=PrefixCache(tree["cache"]),
    )
