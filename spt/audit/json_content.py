"""JSON of others: read within bounds, and looked through for code and for sizes that cannot be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spt.errors import InputError
from spt.storage.files import read_bounded
from spt.storage.json_files import is_deeper, members, unique_keys

# the largest tokenizers have 35 MB
MAX_BYTES = 64 * 2**20
MAX_DEPTH = 64
# keys of Hugging Face that name classes in files of Python
CODE_KEYS = ("auto_map", "custom_pipelines")
# the most that a configuration may say of a backbone: several times what the largest models have
BACKBONE_LIMITS: Mapping[str, int] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embedding_size"), 2**16),
    **dict.fromkeys(("intermediate_size", "d_ff", "n_inner", "hidden_dim"), 2**19),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_decoder_layers"), 1000),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_head", "n_heads", "num_key_value_heads"), 2**12),
    **dict.fromkeys(("head_dim", "d_kv"), 2**14),
    "vocab_size": 2**22,
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx"), 2**24),
}


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        InputError: if it is too large, too deep, names a key twice, or is no JSON.
        OSError: if it cannot be read.
    """
    try:
        text = read_bounded(path, MAX_BYTES)
    except InputError as error:
        raise InputError(f"is not read: {error}") from error
    try:
        content = json.loads(text.decode("utf-8"), object_pairs_hook=unique_keys, parse_constant=_refuse)
    except RecursionError as error:
        raise InputError(f"is nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise InputError(f"is not JSON: {error}") from error
    if is_deeper(content, MAX_DEPTH):
        raise InputError(f"is nested deeper than {MAX_DEPTH} levels")
    return content


def code_problems(content: Any) -> Iterator[str]:
    """Say where JSON names code that comes with a model."""
    for key, value in _pairs(content):
        if key in CODE_KEYS:
            yield f"names code of its own in {key}"
        if key == "tokenizer_class" and isinstance(value, str) and not value.isidentifier():
            yield f"names a tokenizer that is no class of transformers: {value!r:.80}"


def size_problems(content: Any) -> Iterator[str]:
    """Say which sizes of a backbone's configuration are out of bounds, in configurations inside it too."""
    for key, value in _pairs(content):
        limit = BACKBONE_LIMITS.get(key)
        if limit is not None and value is not None and not (type(value) is int and 1 <= value <= limit):
            yield f"has {key} {value!r:.80}, but allowed is a whole number from 1 to {limit:,}"


def proportion_problems(config: Any, numbers: int) -> Iterator[str]:
    """Say which sizes, each within bounds, cannot be those of weights of so many numbers."""
    if not isinstance(config, dict):
        return
    width = _first(config, ("hidden_size", "d_model", "n_embd", "dim"))
    word_width = _first(config, ("embedding_size",)) or width
    layers = _first(config, ("num_hidden_layers", "num_layers", "n_layer", "n_layers"))
    words = _first(config, ("vocab_size",))
    if words * word_width > numbers:
        yield f"has {words:,} words of {word_width:,} numbers, but the weights are {numbers:,} in all"
    if layers * width**2 > numbers:
        yield f"has {layers:,} layers of width {width:,}, but the weights are {numbers:,} in all"


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """Return the first of some sizes that the configuration has; 0 for none."""
    return next((config[name] for name in names if config.get(name) is not None), 0)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _pairs(content: Any) -> Iterator[tuple[str, Any]]:
    """Return every key with its value, of objects at any depth."""
    level = [content]
    while level:
        for outer in level:
            if isinstance(outer, dict):
                yield from outer.items()
        level = [inner for outer in level for inner in members(outer)]
