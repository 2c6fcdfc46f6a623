"""Writes the golden folder of today's format of saved prompts: `python -m tests.golden.make`.

Once a format is released, its folder stays as it is: no later version may write it again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from spt.answers.options import AnswerRule
from spt.architecture import PromptLayers
from spt.build import load_backbone, load_tokenizer, new_factory
from spt.model import trained
from spt.prompts.config import PromptConfig
from spt.serving.classifier import PromptClassifier
from spt.serving.saved_prompt import FORMAT
from spt.spec import BackboneConfig, HeadConfig, ModelSpec
from spt.tasks import get_task

GOLDEN = Path(__file__).parent
# relative, because a prompt refers to its backbone by the path it was trained with
BACKBONE = "backbone"
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]", "cls_token": "[CLS]"}
WORDS = ["fine", "lovely", "awful", "dull", "the", "film", "was", "it", "."]
TEXTS = ["the film was lovely", "dull", "it was awful .", "fine", "nobody knows"]


def make_backbone(folder: Path) -> None:
    """Write a BERT of two layers with random weights, a few kilobytes."""
    words = [*SPECIAL.values(), *WORDS]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **SPECIAL).save_pretrained(
        folder
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        initializer_range=0.5,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)


def new_classifier() -> PromptClassifier:
    """Make a classifier with random trained weights over the backbone in the working directory."""
    task = get_task("custom", labels=("bad", "good", "neither"), multi_label=True)
    spec = ModelSpec(
        backbone=BackboneConfig(name=BACKBONE),
        head=HeadConfig(),
        prompt=PromptConfig(length=2, bottleneck=4, phm_order=2, token_offset=True),
        task=task,
        max_length=16,
        # the texts get none to two of the labels
        answers=AnswerRule(temperature=1.5, thresholds=(0.6, 0.42, 0.7)),
    )
    tokenizer = load_tokenizer(spec)
    architecture = PromptLayers.of({0: "scaling", 1: "generated_offset_3"}, 2)
    model = new_factory(spec, load_backbone(spec), tokenizer, seed=0).model(architecture)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, parameter in trained(model):
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.5)
    return PromptClassifier(model.eval(), tokenizer, spec, architecture)


def main() -> None:
    """Write the backbone if there is none, and the saved prompt with its predictions."""
    os.chdir(GOLDEN)
    folder = Path(f"format_{FORMAT}")
    if folder.exists():
        raise SystemExit(f"{folder} is there already and must stay as it was written.")
    if not Path(BACKBONE).exists():
        make_backbone(Path(BACKBONE))
    classifier = new_classifier()
    classifier.save_pretrained(folder)
    predictions = [
        {"text": text, **prediction.as_json()}
        for text, prediction in zip(TEXTS, classifier.predict(TEXTS), strict=True)
    ]
    (folder / "predictions.json").write_text(json.dumps(predictions, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
