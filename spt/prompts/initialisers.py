"""Where a free prompt starts: at sampled frequent words, or at the words of the labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from spt.errors import InputError

FREQUENT = 5_000
# entries that tokenizers keep for later use
UNUSED = re.compile(r"\[unused\d+\]|<unused\d+>|madeupword\d+|<extra_id_\d+>")

# token ids -> their vectors [.., H]
WordVectors = Callable[[Tensor], Tensor]
# (vectors of the backbone, its tokenizer, names of the classes, P, what draws) -> start of a prompt [P, H]
Initialiser = Callable[[WordVectors, Any, Sequence[str], int, torch.Generator], Tensor]


def frequent_words(tokenizer: Any) -> list[int]:
    """List the first 5,000 ids that stand for text: vocabularies begin with frequent words."""
    special = set(tokenizer.all_special_ids)
    vocabulary = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    words = [i for i, token in enumerate(vocabulary) if i not in special and not UNUSED.fullmatch(str(token))]
    return words[:FREQUENT]


def sampled_vocabulary(
    word_vectors: WordVectors,
    tokenizer: Any,
    labels: Sequence[str],  # noqa: ARG001
    length: int,
    generator: torch.Generator,
) -> Tensor:
    """Return the vectors [P, H] of P different frequent words.

    Raises:
        InputError: if the vocabulary has fewer words than the prompt has vectors.

    Source: Prompt Tuning (arXiv 2104.08691, section 3.2).
    """
    words = frequent_words(tokenizer)
    if len(words) < length:
        raise InputError(
            f"prompt.length is {length}, but the vocabulary has only {len(words)} words to start from. "
            "Shorten the prompt, or set prompt.init to random."
        )
    chosen = torch.randperm(len(words), generator=generator)[:length]
    return word_vectors(torch.tensor(words)[chosen])


def label_words(
    word_vectors: WordVectors,
    tokenizer: Any,
    labels: Sequence[str],
    length: int,
    generator: torch.Generator,
) -> Tensor:
    """Return the vectors [P, H] of the label words, the mean of its tokens for each, then of sampled words.

    Source: Prompt Tuning (arXiv 2104.08691, section 3.2). Of more labels than P the first P are ours.
    """
    ids = [tokenizer(" " + label, add_special_tokens=False)["input_ids"] for label in labels[:length]]
    vectors = torch.stack([word_vectors(torch.tensor(tokens)).mean(0) for tokens in ids])
    if len(vectors) == length:
        return vectors
    others = sampled_vocabulary(word_vectors, tokenizer, labels, length - len(vectors), generator)
    return torch.cat([vectors, others])


INITIALISERS: dict[str, Initialiser] = {"vocabulary": sampled_vocabulary, "labels": label_words}
