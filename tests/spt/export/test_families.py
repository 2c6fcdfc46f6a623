"""Every family as ONNX graphs: the model's logits, for any number of rows and tokens, padded anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from spt.backbones.base import Backbone
from spt.backbones.registry import FAMILIES as REGISTERED
from spt.backbones.t5 import T5Backbone
from spt.export.graphs import graphs_of, write_graph
from spt.export.runtime import OnnxGraphs
from spt.heads import ClassificationHead, TextToTextHead, VerbalizerHead
from spt.model import PromptedModel
from tests.support.families import (
    FAMILIES,
    HIDDEN,
    MASK_ID,
    PAD,
    VOCABULARY,
    WORDS,
    attentions,
    batch,
    prompted,
)
from tests.support.families import tiny_backbone as any_backbone

pytestmark = pytest.mark.slow

# of each adapter one, with what makes its graphs differ: windows, convolutions, buckets
EXPORTED = [
    "bert",
    "roberta",
    "electra",
    "distilbert",
    "deberta",
    "deberta-v2",
    "deberta-v3",
    "modernbert",
    "gpt2",
    "llama",
    "mistral",
    "qwen2-window",
    "qwen3",
]
SHAPES = [([5, 9, 7], "right", 0), ([3], "right", 0), ([12, 2, 20, 4], "right", 3), ([6, 17], "left", 1)]
TOLERANCE = 1e-4
T5 = {
    "vocab_size": VOCABULARY,
    "d_model": HIDDEN,
    "d_kv": 8,
    "d_ff": 40,
    "num_layers": 1,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 10,
    "pad_token_id": PAD,
    "eos_token_id": 3,
    "decoder_start_token_id": PAD,
}


# layers of the tiny model: two where layers differ, or a prompt is to be carried on
LAYERS = {"bert": 2, "deberta-v2": 2, "modernbert": 2, "qwen2-window": 2}


def backbone_of(name: str) -> Backbone:
    """A tiny backbone with few layers, of which a graph is made quickly."""
    layers = LAYERS.get(name, 1)
    changes: dict[str, Any] = {"n_layers" if name == "distilbert" else "num_hidden_layers": layers}
    if name == "modernbert":
        changes["layer_types"] = ["full_attention", "sliding_attention"]
    return any_backbone(name, attentions(name)[0], **changes)


def t5_backbone() -> T5Backbone:
    torch.manual_seed(0)
    return T5Backbone(AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model("t5", **T5)))


def check(
    model: PromptedModel, batches: list[dict[str, Tensor]], folder: Path, trunk: int | None = None
) -> None:
    """Export on the first batch, and compare the logits of all."""
    model.eval()
    graphs = graphs_of(model, list(batches[0]), trunk)
    example = dict(batches[0])
    if trunk is not None:
        example["hidden"] = graphs[0].module(**{name: example[name] for name in graphs[0].inputs}).detach()
    for graph in graphs:
        write_graph(graph, example, folder, "tiny")
    runtime = OnnxGraphs([folder / graph.file for graph in graphs])
    for each in batches:
        with torch.no_grad():
            expected = model(each).logits.numpy()
        np.testing.assert_allclose(runtime.logits(each), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", EXPORTED)
def test_a_family_gives_the_same_logits_in_onnxruntime(name: str, tmp_path: Path) -> None:
    backbone = backbone_of(name)
    model = prompted(backbone, [backbone.num_layers - 1])
    torch.manual_seed(0)
    model.head = ClassificationHead(HIDDEN, 3, "last" if backbone.causal else "mean")
    batches = [batch(name, *shape, seed=number) for number, shape in enumerate(SHAPES)]
    check(model, batches, tmp_path, trunk=1 if name in ("bert", "deberta-v2") else None)


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_a_language_models_head_is_exported(name: str, tmp_path: Path) -> None:
    backbone = backbone_of(name)
    model = prompted(backbone, [0])
    model.head = VerbalizerHead(backbone, WORDS, None if backbone.causal else MASK_ID)
    batches = [batch(name, *shape, seed=number) for number, shape in enumerate(SHAPES)]
    check(model, batches, tmp_path)


def test_t5_is_exported_with_the_decoder_that_scores_its_labels(tmp_path: Path) -> None:
    backbone = t5_backbone()
    model = prompted(backbone, [0])
    model.head = TextToTextHead(backbone, [[7, 9, 3], [11, 3], [7, 12, 3]])
    check(model, [batch("roberta", *shape, seed=number) for number, shape in enumerate(SHAPES)], tmp_path)


def test_each_adapter_is_exported() -> None:
    tried = {type(backbone_of(name)) for name in EXPORTED} | {T5Backbone}
    assert set(REGISTERED.values()) <= tried
    assert set(EXPORTED) <= set(FAMILIES)
