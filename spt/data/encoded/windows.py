"""Texts longer than a model reads, as windows that overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from spt.errors import InputError
from spt.tasks import Task

Tokens = dict[str, Any]


def check_windows(task: Task, windows: int | None) -> None:
    """Refuse windows for a task of two texts a row.

    Args:
        task: that reads the texts.
        windows: tokens that neighbours share; None for no windows.

    Raises:
        InputError: naming what works instead.
    """
    if windows is not None and task.paired:
        raise InputError(
            f"data.windows is {windows}, but task '{task.name}' has two texts a row, which are read together "
            "and cannot be cut into windows. Remove data.windows and raise data.max_length."
        )


def cut_windows(
    text: str,
    spans: Sequence[tuple[int, int]],
    encode: Callable[[str], Tokens],
    max_length: int,
    overlap: int,
) -> list[Tokens]:
    """Encode a text as windows of at most max_length tokens, which hold all of it together.

    All are as long as they may be; the last one begins earlier where less of the text is left.

    Args:
        text: longer than a window.
        spans: where the text's tokens (or parts of words, of a tokenizer that does not tell) are in it.
        encode: turns a piece of the text into tokens, special tokens and template among them.
        max_length: tokens of a window, template included.
        overlap: spans that neighbouring windows share, >= 0; never more than half of a window.

    Raises:
        InputError: if special tokens and template leave no room for the text.
    """
    windows, start = [], 0
    while True:
        tokens, size = _longest(text, spans[start:], encode, max_length)
        if size == 0:
            raise InputError(
                f"data.max_length is {max_length}, but special tokens and template leave no room for a text. "
                "Set a larger data.max_length or a shorter task.template."
            )
        windows.append(tokens)
        end = start + size
        if end >= len(spans):
            return windows
        start = max(start + 1, min(end - min(overlap, size // 2), len(spans) - size))


def _longest(
    text: str, spans: Sequence[tuple[int, int]], encode: Callable[[str], Tokens], max_length: int
) -> tuple[Tokens, int]:
    """Encode as many tokens from the first one on as fit, and say how many those are."""
    size = min(len(spans), max_length)
    while size > 0:
        tokens = encode(text[spans[0][0] : spans[size - 1][1]])
        # a cut inside a word may give other tokens than the whole word did
        excess = len(tokens["input_ids"]) - max_length
        if excess <= 0:
            return tokens, size
        size -= excess
    return {}, 0
