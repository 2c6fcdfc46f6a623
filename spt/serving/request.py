"""What a server is asked, and the distinct inputs that the questions come down to."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from spt.data.encoded.encoding import encode_texts
from spt.data.encoded.examples import Examples
from spt.data.values import as_list, clean_texts, rows_shown
from spt.errors import InputError
from spt.spec import ModelSpec

DIGEST_SIZE = 16


@dataclass(frozen=True)
class Request:
    """Ask for the label of a text (and its pair, where the task has pairs) by one task's prompt."""

    task: str
    text: str
    text_pair: str | None = None


class EncodedRequests(NamedTuple):
    """Hold the distinct inputs of requests.

    Attributes:
        examples: U inputs, no two with the same tokens; `rows` counts them from 0.
        keys: what the tokens of each input are known by, [U].
        inputs: of each request, the numbers of its inputs: one, or one a window.
    """

    examples: Examples
    keys: list[bytes]
    inputs: list[list[int]]


class _Encoding(NamedTuple):
    """Hold all of a prompt that decides which tokens its texts become."""

    paired: bool
    max_length: int
    windows: int | None
    templates: tuple[str, str] | None

    @classmethod
    def of(cls, spec: ModelSpec) -> _Encoding:
        """Return the encoding of a prompt's texts."""
        task = spec.task
        templates = (task.template, task.causal_template) if spec.verbalizes else None
        return cls(task.paired, spec.max_length, spec.windows, templates)


def check_requests(requests: Any) -> list[Request]:
    """Return requests as a list.

    Raises:
        InputError: naming the rows, for what is no request.
    """
    listed: list[Request] = as_list(requests, "The list of requests")
    if wrong := [row for row, request in enumerate(listed) if not isinstance(request, Request)]:
        raise InputError(
            f"The list of requests holds something else in {rows_shown(wrong)}. "
            "Give a Request(task, text) for each answer."
        )
    return listed


def encode_requests(
    requests: Sequence[Request], specs: Mapping[str, ModelSpec], tokenizer: Any, numbers: Sequence[int]
) -> EncodedRequests:
    """Encode the texts of requests, each once for all tasks that encode it alike.

    Args:
        requests: whose tasks are all among `specs`.
        specs: of the prompts, by the names of their tasks.
        tokenizer: of the backbone.
        numbers: of the caller's row that each request comes of, for errors, from 0.

    Raises:
        InputError: naming the rows, for what is no text, or texts that do not fit their task.
    """
    groups: defaultdict[_Encoding, list[int]] = defaultdict(list)
    for row, request in enumerate(requests):
        groups[_Encoding.of(specs[request.task])].append(row)
    parts: list[Examples] = []
    inputs: list[list[int]] = [[] for _ in requests]
    count = 0
    for rows in groups.values():
        spec = specs[requests[rows[0]].task]
        own = [numbers[row] for row in rows]
        texts = _texts([requests[row] for row in rows], own, spec)
        # from each distinct text to its place among them, and the row where it is first
        first: dict[tuple[str, ...], int] = {}
        for text, number in zip(texts, own, strict=True):
            first.setdefault(text, number)
        places = {text: place for place, text in enumerate(first)}
        examples = _encode(first, spec, tokenizer)
        examples_of: defaultdict[int, list[int]] = defaultdict(list)
        for number, place in enumerate(examples.rows.tolist(), start=count):
            examples_of[place].append(number)
        for row, text in zip(rows, texts, strict=True):
            inputs[row] = examples_of[places[text]]
        parts.append(examples)
        count += len(examples)
    return _distinct(Examples.concatenated(parts), inputs)


def _texts(requests: Sequence[Request], numbers: Sequence[int], spec: ModelSpec) -> list[tuple[str, ...]]:
    """Return the text, or the two texts, of some requests that are encoded alike, from rows of the caller."""
    numbered = list(zip(requests, numbers, strict=True))
    paired = spec.task.paired
    if other := [(each, row) for each, row in numbered if (each.text_pair is not None) != paired]:
        needed, got = ("two texts", "one") if paired else ("one text", "two")
        raise InputError(
            f"Task '{other[0][0].task}' needs {needed} a row, but got {got} in "
            f"{rows_shown([row for _, row in other])}."
        )
    columns = [clean_texts([each.text for each in requests], "The list of requests' texts", numbers)]
    if paired:
        seconds = [each.text_pair for each in requests]
        columns.append(clean_texts(seconds, "The list of requests' second texts", numbers))
    return list(zip(*columns, strict=True))


def _encode(texts: Mapping[tuple[str, ...], int], spec: ModelSpec, tokenizer: Any) -> Examples:
    """Encode texts, each of which has the number of its row for errors."""
    firsts, *seconds = zip(*texts, strict=True)
    return encode_texts(
        firsts,
        seconds[0] if seconds else None,
        tokenizer,
        spec,
        list(texts.values()),
    )


def _distinct(examples: Examples, inputs: Sequence[Sequence[int]]) -> EncodedRequests:
    """Keep one example of those with the same tokens."""
    keys = [_key(examples, start, end) for start, end in pairwise(examples.offsets.tolist())]
    first: dict[bytes, int] = {}
    for number, key in enumerate(keys):
        first.setdefault(key, number)
    place = {key: place for place, key in enumerate(first)}
    distinct = examples.take(list(first.values()))
    return EncodedRequests(
        replace(distinct, rows=np.arange(len(distinct))),
        list(first),
        [[place[keys[number]] for number in numbers] for numbers in inputs],
    )


def _key(examples: Examples, start: int, end: int) -> bytes:
    """Name an input by its tokens and their types."""
    digest = hashlib.blake2b(examples.input_ids[start:end].tobytes(), digest_size=DIGEST_SIZE)
    if examples.token_type_ids is not None:
        digest.update(b";" + examples.token_type_ids[start:end].tobytes())
    return digest.digest()
