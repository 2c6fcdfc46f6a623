"""What a program without this library must do to texts before an exported graph: tokenizer and rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from spt.data.encoded.encoding import template_pattern
from spt.errors import InputError
from spt.spec import ModelSpec


@dataclass(frozen=True)
class TextRules:
    """Hold what is done to texts beside their tokenization.

    Attributes:
        pairs: whether a row has two texts.
        template: that the texts are filled into; None where they are read as they are.
        max_length: tokens of the longest row.
        long_texts: what becomes of longer ones: the tokenizer cuts them, the text inside the template is cut,
            or they are refused, as this model would read them in windows.
        special_tokens: whose names are broken up in texts, so that no text brings one.
    """

    pairs: bool
    template: str | None
    max_length: int
    long_texts: str
    special_tokens: tuple[str, ...]

    @classmethod
    def of(cls, spec: ModelSpec, tokenizer: Any) -> TextRules:
        """Return the rules that `spt.data.encoded.encoding` follows for the prompt's texts."""
        pattern = template_pattern(spec.task, tokenizer) if spec.verbalizes else None
        if spec.windows is not None:
            long_texts = "refuse"
        else:
            long_texts = "cut" if pattern is None else "cut inside the template"
        return cls(
            pairs=spec.task.paired,
            template=pattern,
            max_length=spec.max_length,
            long_texts=long_texts,
            special_tokens=tuple(tokenizer.all_special_tokens),
        )

    def as_json(self) -> Mapping[str, Any]:
        """Return the rules as JSON has them."""
        return asdict(self)


def write_tokenizer(tokenizer: Any, rules: TextRules, path: Path) -> None:
    """Write tokenizer.json, which pads on the right and cuts where the rules leave that to the tokenizer.

    Args:
        tokenizer: of the backbone, from transformers.
        rules: for its texts.
        path: of the file.

    Raises:
        InputError: for a tokenizer that is written in Python, which no file describes.
    """
    if not tokenizer.is_fast:
        raise InputError(
            f"The backbone's tokenizer, {type(tokenizer).__name__}, is written in Python and cannot be "
            "exported: the package tokenizers reads tokenizer.json alone. Save the backbone with a fast "
            "tokenizer."
        )
    exported = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    exported.no_truncation()
    if rules.long_texts == "cut":
        exported.enable_truncation(
            rules.max_length, strategy="longest_first", direction=tokenizer.truncation_side
        )
    # the mask tells padding from tokens, whatever stands there
    exported.enable_padding(direction="right", pad_id=tokenizer.pad_token_id or 0)
    exported.save(str(path))
