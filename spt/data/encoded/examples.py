"""Encoded rows in a few arrays, of which batches are taken: a dict a row took ten times the memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypedDict, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import NotRequired

from spt.start import Start

UNLABELLED = -1


class Example(TypedDict):
    """Hold one encoded row; all lists have its T tokens."""

    input_ids: list[int]
    token_type_ids: NotRequired[list[int]]
    label: int | list[float]  # a class index; of several labels, 1 for its classes and 0 for others, [C]
    row: int
    start: NotRequired[Start]  # hidden states [T, H] that a model may begin with


@dataclass(frozen=True, eq=False)
class Examples(Sequence[Example]):
    """Hold N encoded rows of M tokens together.

    Attributes:
        input_ids: [M], row after row.
        lengths: [N], tokens of each row.
        labels: [N], class indices, -1 where there is none; of several labels a row, float [N, C], 1 for its
            classes and 0 for others.
        rows: [N], index of each row in its split; the windows of a long text follow each other and share it.
        token_type_ids: [M]; None where the tokenizer has none.
        start: with hidden states [M, H] that a model may begin with; None where there are none.
        cut: [N], whether the text lost its end; None where none did.
    """

    input_ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64] | NDArray[np.float32]
    rows: NDArray[np.int64]
    token_type_ids: NDArray[np.int8] | None = None
    start: Start | None = None
    cut: NDArray[np.bool_] | None = None

    @classmethod
    def of_tokens(cls, tokens: Sequence[dict[str, Any]]) -> Examples:
        """Take the tokens of rows without labels, as tokenizers give them.

        Args:
            tokens: input_ids and, in all of them or none, token_type_ids of each row.
        """
        typed = bool(tokens) and "token_type_ids" in tokens[0]
        return cls(
            input_ids=_joined((row["input_ids"] for row in tokens), np.int32),
            lengths=np.array([len(row["input_ids"]) for row in tokens], dtype=np.int64),
            labels=np.full(len(tokens), UNLABELLED, dtype=np.int64),
            rows=np.arange(len(tokens)),
            token_type_ids=_joined((row["token_type_ids"] for row in tokens), np.int8) if typed else None,
        )

    @classmethod
    def of(cls, rows: Sequence[Example]) -> Examples:
        """Take rows that are encoded already; examples stay what they are."""
        if isinstance(rows, Examples):
            return rows
        examples = replace(
            cls.of_tokens(rows),  # type: ignore[arg-type]
            labels=_labels([row["label"] for row in rows]),
            rows=np.array([row["row"] for row in rows], dtype=np.int64),
        )
        if not rows or "start" not in rows[0]:
            return examples
        states = torch.cat([row["start"].hidden for row in rows])
        return examples.starting(rows[0]["start"].layer, states)

    @classmethod
    def concatenated(cls, parts: Sequence[Examples]) -> Examples:
        """Join parts of one tokenizer, none of which has hidden states, in order."""
        filled = [part for part in parts if len(part)]
        if not filled:
            return cls.of_tokens([])
        types = [part.token_type_ids for part in filled if part.token_type_ids is not None]
        return cls(
            np.concatenate([part.input_ids for part in filled]),
            np.concatenate([part.lengths for part in filled]),
            np.concatenate([part.labels for part in filled]),
            np.concatenate([part.rows for part in filled]),
            np.concatenate(types) if types else None,
            cut=np.concatenate([part.is_cut for part in filled]),
        )

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Return where the tokens of each row begin, and where the last one's end, [N + 1]."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @property
    def is_cut(self) -> NDArray[np.bool_]:
        """Say of each example whether its text lost its end, [N]."""
        return np.zeros(len(self), dtype=bool) if self.cut is None else self.cut

    @property
    def cut_texts(self) -> int:
        """Count the texts that lost their end."""
        return int(self.is_cut.sum())

    @cached_property
    def num_rows(self) -> int:
        """Count the rows, of which one may have several windows."""
        return len(np.unique(self.rows))

    def starting(self, layer: int, states: Tensor) -> Examples:
        """Return these examples with the hidden states [M, H] that a layer reads."""
        return replace(self, start=Start(layer, states))

    def take(self, numbers: Sequence[int]) -> Examples:
        """Return some of the examples, by their places among these, in that order."""
        places = np.asarray(numbers, dtype=np.int64)
        lengths = self.lengths[places]
        before = np.cumsum(lengths) - lengths
        tokens = np.repeat(self.offsets[places] - before, lengths) + np.arange(lengths.sum())
        types, start = self.token_type_ids, self.start
        return Examples(
            self.input_ids[tokens],
            lengths,
            self.labels[places],
            self.rows[places],
            None if types is None else types[tokens],
            None if start is None else Start(start.layer, start.hidden[torch.from_numpy(tokens)]),
            self.is_cut[places],
        )

    # what torch's loaders ask for a batch at once
    __getitems__ = take

    def __len__(self) -> int:
        """Count the examples: a row each, or a window each."""
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Example: ...

    @overload
    def __getitem__(self, index: slice) -> Examples: ...

    def __getitem__(self, index: int | slice) -> Example | Examples:
        """Return one example, or those of a slice."""
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        place = range(len(self))[index]
        tokens = slice(*self.offsets[place : place + 2].tolist())
        example = Example(
            input_ids=self.input_ids[tokens].tolist(),
            label=self.labels[place].tolist(),
            row=int(self.rows[place]),
        )
        if self.token_type_ids is not None:
            example["token_type_ids"] = self.token_type_ids[tokens].tolist()
        if self.start is not None:
            example["start"] = Start(self.start.layer, self.start.hidden[tokens])
        return example


def _labels(labels: Sequence[int | list[float]]) -> NDArray[np.int64] | NDArray[np.float32]:
    if labels and not isinstance(labels[0], int):
        return np.array(labels, dtype=np.float32)
    return np.array(labels, dtype=np.int64)


def _joined(lists: Iterable[Sequence[int]], kind: type[Any]) -> NDArray[Any]:
    arrays = [np.asarray(numbers, dtype=kind) for numbers in lists]
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype=kind)
