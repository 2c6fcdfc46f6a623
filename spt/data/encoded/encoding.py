"""Rows -> token ids, plain or inside the task's template, cut to a length."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from spt.data.encoded.examples import Examples
from spt.data.encoded.windows import check_windows, cut_windows
from spt.data.labels.label_sets import multi_hot
from spt.data.values import as_list, clean_texts, rows_shown
from spt.errors import InputError
from spt.spec import ModelSpec
from spt.tasks import PROMPT, Task

MAX_CUTS = 8
# rows whose tokens are Python objects together: many for the tokenizer's threads, few for the memory
CHUNK = 1024

Tokens = dict[str, Any]

if TYPE_CHECKING:
    # prediction encodes texts without it, and it takes a second to load
    from datasets import Dataset


log = logging.getLogger(__name__)


def encode(split: Dataset, tokenizer: PreTrainedTokenizerBase, spec: ModelSpec) -> Examples:
    """Encode the rows of a split as token ids; see `encode_texts`.

    Args:
        split: rows with text, text_pair (pair tasks only) and label.
        tokenizer: the backbone's tokenizer.
        spec: whose task has its labels.
    """
    task = spec.task
    chunks = (text_rows(part["text"], part.get("text_pair"), task) for part in split.iter(CHUNK))
    examples = _encode_chunks(chunks, tokenizer, spec)
    labels = split["label"][:]
    if task.multi_label:
        return replace(examples, labels=multi_hot(labels, len(task.labels or ()))[examples.rows])
    return replace(examples, labels=np.array(labels, dtype=np.int64)[examples.rows])


def encode_texts(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    tokenizer: PreTrainedTokenizerBase,
    spec: ModelSpec,
    numbers: Sequence[int] | None = None,
) -> Examples:
    """Encode texts without labels as token ids.

    Args:
        texts: one a row, as `text_rows` takes them.
        pairs: the second text of each row; None where the task has one text a row.
        tokenizer: the backbone's tokenizer; one without a mask token belongs to a causal model.
        spec: of the model that reads them. Where it verbalizes, the task's template is filled, of which
            nothing is cut; a causal model gets it without the mask, so that the label word comes next.
            Otherwise the texts alone. No example has more tokens than its max_length; without its windows
            longer texts lose their end, the longer of a pair first.
        numbers: of the rows for the error about texts without a token, from 0; None: all, in order.

    Returns:
        One example a text, in order, with label -1; of a text in windows one each, with the text's row.

    Raises:
        InputError: texts and pairs are no texts or do not fit the task, max_length is over the tokenizer's
            limit, special tokens or the template alone are as long as max_length, or windows are asked for
            pairs.
    """
    rows = text_rows(texts, pairs, spec.task)
    chunks = (rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK))
    examples = _encode_chunks(chunks, tokenizer, spec, numbers)
    if examples.cut_texts:
        log.warning(
            "%d of %d texts are longer than %d tokens and were cut",
            examples.cut_texts,
            len(rows),
            spec.max_length,
        )
    return examples


def text_lengths(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    tokenizer: PreTrainedTokenizerBase,
    spec: ModelSpec,
) -> list[int]:
    """Count the tokens that `encode_texts` cuts, or reads in windows, where there are more than max_length.

    The arguments are its own.

    Returns:
        Tokens of each text with special tokens and, where that is filled, the template, [N].
    """
    rows = text_rows(texts, pairs, spec.task)
    pattern = _pattern(spec, tokenizer)
    chunks = (_whole(rows[first : first + CHUNK], tokenizer, pattern) for first in range(0, len(rows), CHUNK))
    return [len(tokens["input_ids"]) for _, encoded in chunks for tokens in encoded]


def _encode_chunks(
    chunks: Iterable[Sequence[tuple[str, ...]]],
    tokenizer: PreTrainedTokenizerBase,
    spec: ModelSpec,
    numbers: Sequence[int] | None = None,
) -> Examples:
    """Encode the texts of rows a chunk at a time, as `encode_texts`."""
    max_length, windows = spec.max_length, spec.windows
    check_windows(spec.task, windows)
    if max_length > tokenizer.model_max_length:
        raise InputError(
            f"data.max_length is {max_length}, but this backbone reads at most {tokenizer.model_max_length} "
            f"tokens. Set data.max_length to {tokenizer.model_max_length} or less."
        )
    _check_room(tokenizer, spec.task, max_length)
    pattern = _pattern(spec, tokenizer)
    parts: list[Examples] = []
    count = 0
    for chunk in chunks:
        rows, encoded = _whole(chunk, tokenizer, pattern)
        rows_here = range(count, count + len(rows))
        _check_tokens(encoded, rows_here if numbers is None else [numbers[row] for row in rows_here])
        is_long = np.array([len(tokens["input_ids"]) > max_length for tokens in encoded], dtype=bool)
        pieces = [[tokens] for tokens in encoded]
        for number in np.flatnonzero(is_long):
            if windows is None:
                pieces[number] = [_cut(tokenizer, pattern, rows[number], max_length)]
            else:
                pieces[number] = _windows(tokenizer, pattern, rows[number][0], max_length, windows)
        row_numbers = np.repeat(np.arange(count, count + len(rows)), [len(each) for each in pieces])
        examples = Examples.of_tokens(list(chain.from_iterable(pieces)))
        cut = is_long if windows is None else np.zeros_like(is_long)
        parts.append(replace(examples, rows=row_numbers, cut=cut[row_numbers - count]))
        count += len(rows)
    return Examples.concatenated(parts)


def _whole(
    rows: Sequence[tuple[str, ...]], tokenizer: PreTrainedTokenizerBase, pattern: str | None
) -> tuple[list[tuple[str, ...]], list[Tokens]]:
    """Return the texts of rows as they are read, and all tokens of each row, before any is cut."""
    plain = [tuple(_plain(text, tokenizer) for text in row) for row in rows]
    return plain, _tokenize_all(tokenizer, [_fill(pattern, row) for row in plain])


def _check_room(tokenizer: PreTrainedTokenizerBase, task: Task, max_length: int) -> None:
    """Refuse a length that special tokens fill alone, so that no text would be read."""
    special = tokenizer.num_special_tokens_to_add(pair=task.paired)
    if max_length <= special:
        raise InputError(
            f"data.max_length is {max_length}, but this backbone adds {special} special tokens to a text, so "
            f"that nothing of it would be read. Set data.max_length to {special + 1} or more."
        )


def text_rows(texts: Sequence[str], pairs: Sequence[str] | None, task: Task) -> list[tuple[str, ...]]:
    """Return the text, or the two texts, of each row as every model reads them.

    Args:
        texts: a list, an array or a Series; one text alone is one row.
        pairs: the second text of each row; None where the task has one text a row.
        task: says how many texts a row has.

    Raises:
        InputError: naming the rows, for what is no text; or if texts and pairs do not fit the task.
    """
    firsts = as_list(texts, "The list of texts")
    seconds = None if pairs is None else as_list(pairs, "The list of second texts")
    if (seconds is not None) != task.paired or (seconds is not None and len(seconds) != len(firsts)):
        needed = "two texts a row" if task.paired else "one text a row"
        raise InputError(
            f"Task '{task.name}' needs {needed}, but got {len(firsts)} texts "
            f"and {len(seconds or ())} second texts."
        )
    columns = [clean_texts(firsts, "The list of texts")]
    if seconds is not None:
        columns.append(clean_texts(seconds, "The list of second texts"))
    return list(zip(*columns, strict=True))


def _plain(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """Break up the names of special tokens in a text, so that nobody can write a mask into it."""
    for token in tokenizer.all_special_tokens:
        text = text.replace(token, f"{token[:1]} {token[1:]}")
    return text


def _pattern(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Return the pattern that the model's texts fill; None where it reads them alone."""
    return template_pattern(spec.task, tokenizer) if spec.verbalizes else None


def template_pattern(task: Task, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the template with its mask token; for causal models, up to where the label word comes."""
    if tokenizer.mask_token is None:
        return task.causal_template.removesuffix("{mask}").rstrip()
    pattern = task.template.replace("{mask}", tokenizer.mask_token)
    if PROMPT not in pattern:
        return pattern
    if tokenizer.pad_token is None:
        raise InputError(
            f"The template of task '{task.name}' has {PROMPT}, whose place a padding token keeps, but this "
            "backbone's tokenizer has none. Choose another backbone, or set prompt.place to front."
        )
    return pattern.replace(PROMPT, tokenizer.pad_token)


def _fill(pattern: str | None, texts: Sequence[str]) -> tuple[str, ...]:
    """Return what the tokenizer reads: the filled pattern, or the texts as they are."""
    if pattern is None:
        return tuple(texts)
    values = dict(zip(("{text}", "{text_pair}"), texts, strict=False))
    return (re.sub(r"{text(_pair)?}", lambda found: values[found[0]], pattern),)


def _tokenize_all(tokenizer: PreTrainedTokenizerBase, inputs: Sequence[Sequence[str]]) -> list[Tokens]:
    """Tokenize all rows in one call, because fast tokenizers work on many at once."""
    if not inputs:
        return []
    columns = [list(column) for column in zip(*inputs, strict=True)]
    tokens = _tokenize(tokenizer, columns)
    return [{name: values[row] for name, values in tokens.items()} for row in range(len(inputs))]


def _tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str] | Sequence[list[str]], **options: Any
) -> Tokens:
    return dict(tokenizer(*texts, return_attention_mask=False, verbose=False, **options))


def _cut(
    tokenizer: PreTrainedTokenizerBase, pattern: str | None, texts: Sequence[str], max_length: int
) -> Tokens:
    """Return the tokens of texts cut to fit, the longer one first."""
    if pattern is None:
        return _tokenize(tokenizer, texts, truncation="longest_first", max_length=max_length)
    ends = [[end for _, end in _token_spans(tokenizer, text)] for text in texts]
    lengths_now = [len(positions) for positions in ends]
    for _ in range(MAX_CUTS):
        parts = [text[: at[n - 1]] if n else "" for text, at, n in zip(texts, ends, lengths_now, strict=True)]
        tokens = _tokenize(tokenizer, _fill(pattern, parts))
        # a cut inside a word may give other tokens than the whole word did, so look again
        excess = len(tokens["input_ids"]) - max_length
        if excess <= 0 and any(lengths_now):
            return tokens
        if not any(lengths_now):
            break
        lengths_now = _shortened(lengths_now, max(excess, 1))
    raise InputError(
        f"data.max_length is {max_length}, but the template '{pattern}' leaves no room for a text in it. "
        "Set a larger data.max_length or a shorter task.template."
    )


def _windows(
    tokenizer: PreTrainedTokenizerBase, pattern: str | None, text: str, max_length: int, overlap: int
) -> list[Tokens]:
    """Return the tokens of a long text's windows, each in the template."""
    spans = _token_spans(tokenizer, text)
    return cut_windows(
        text, spans, lambda piece: _tokenize(tokenizer, _fill(pattern, [piece])), max_length, overlap
    )


def _token_spans(tokenizer: PreTrainedTokenizerBase, text: str) -> list[tuple[int, int]]:
    """Return where the text's tokens begin and end, or parts of words where the tokenizer does not tell."""
    if tokenizer.is_fast:
        encoded = _tokenize(tokenizer, [text], add_special_tokens=False, return_offsets_mapping=True)
        return [(start, end) for start, end in encoded["offset_mapping"]]
    return [part.span() for part in re.finditer(r"\S{1,8}", text)]


def _shortened(lengths: list[int], excess: int) -> list[int]:
    lengths = list(lengths)
    for _ in range(min(excess, sum(lengths))):
        lengths[lengths.index(max(lengths))] -= 1
    return lengths


def _check_tokens(encoded: Sequence[Tokens], rows: Sequence[int]) -> None:
    if empty := [row for tokens, row in zip(encoded, rows, strict=True) if not tokens["input_ids"]]:
        raise InputError(
            f"The text has no token that this backbone knows in {rows_shown(empty)}. Remove these rows."
        )
