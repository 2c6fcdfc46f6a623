"""Which backbone it is: digests of all that decides what it makes of a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spt.backbones.base import Backbone
from spt.storage.digests import json_digest, short

# keys of a config that say nothing about hidden states: where it is from, and how it was saved or is run
NOT_OF_THE_MODEL = frozenset(
    {
        "_attn_implementation",
        "_commit_hash",
        "_name_or_path",
        "architectures",
        "attn_implementation",
        "auto_map",
        "dtype",
        "id2label",
        "label2id",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)
# what a call of a tokenizer sets in it
SET_BY_CALLS = ("truncation", "padding")


@dataclass(frozen=True)
class BackboneIdentity:
    """Hold a digest of each part of a backbone.

    Attributes:
        weights: `Backbone.fingerprint`.
        config: of what the model is built by; None where an older version did not note it.
        tokenizer: of vocabulary, rules and special tokens; None as for config.
    """

    weights: str
    config: str | None = None
    tokenizer: str | None = None

    @classmethod
    def of(cls, backbone: Backbone, tokenizer: Any) -> BackboneIdentity:
        """Take the digests of a loaded backbone and its tokenizer."""
        config = backbone.model.config.to_diff_dict()
        return cls(backbone.fingerprint, json_digest(_of_the_model(config)), tokenizer_digest(tokenizer))

    def as_json(self) -> dict[str, str | None]:
        """Return the digests as JSON has them."""
        return asdict(self)

    def changes(self, now: BackboneIdentity) -> list[str]:
        """Name the parts that differ now, with both digests; a part that was not noted is not compared."""
        before, after = asdict(self), asdict(now)
        return [
            f"{part} (digest {short(before[part])}, now {short(after[part])})"
            for part in before
            if before[part] is not None and after[part] is not None and before[part] != after[part]
        ]


def tokenizer_digest(tokenizer: Any) -> str:
    """Return the digest of what a tokenizer does to texts, not of the files it came from."""
    return json_digest(
        {
            "rules": _rules(tokenizer) if tokenizer.is_fast else _words(tokenizer),
            "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
            "inputs": list(tokenizer.model_input_names),
        }
    )


def _rules(tokenizer: Any) -> str:
    """Return all that a fast tokenizer does, as text; its writer keeps words in order."""
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    return json.dumps({name: rule for name, rule in rules.items() if name not in SET_BY_CALLS})


def _words(tokenizer: Any) -> dict[str, Any]:
    """Return the words and options of a tokenizer in Python; names of files are paths of this machine."""
    options = {
        name: value
        for name, value in tokenizer.init_kwargs.items()
        if isinstance(value, bool | int | float) or (isinstance(value, str) and "/" not in value)
    }
    return {"class": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab(), "options": options}


def _of_the_model(config: Any) -> Any:
    """Return the keys of a config, and of configs in it, that decide hidden states."""
    if isinstance(config, Mapping):
        return {str(k): _of_the_model(v) for k, v in config.items() if k not in NOT_OF_THE_MODEL}
    if isinstance(config, list | tuple):
        return [_of_the_model(value) for value in config]
    return config if config is None or isinstance(config, bool | int | float | str) else str(config)
