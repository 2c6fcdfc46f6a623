"""Rows in arrays: what they hold, what is taken of them, and the batches that lists of rows gave before."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence

from spt.data.encoded import encoding
from spt.data.encoded.batches import BucketedBatches, make_loader
from spt.data.encoded.encoding import encode
from spt.data.encoded.examples import Example, Examples
from spt.errors import InputError
from spt.start import Start
from spt.tasks import get_task
from tests.support.tiny import FILLER, make_tokenizer, text_spec

TOKENIZER = SimpleNamespace(pad_token_id=7, eos_token_id=9)


def encoded(number: int, typed: bool = True) -> list[Example]:
    """Rows of 1 to 20 random tokens."""
    generator = torch.Generator().manual_seed(0)
    rows: list[Example] = []
    for row in range(number):
        length = int(torch.randint(1, 21, (), generator=generator))
        ids = torch.randint(10, 40_000, (length,), generator=generator).tolist()
        rows.append(Example(input_ids=ids, label=row % 3, row=number - row))
        if typed:
            rows[-1]["token_type_ids"] = [0] * (length // 2) + [1] * (length - length // 2)
    return rows


def started(rows: list[Example]) -> list[Example]:
    generator = torch.Generator().manual_seed(1)
    states = [torch.randn(len(row["input_ids"]), 4, generator=generator) for row in rows]
    return [Example(**row, start=Start(2, state)) for row, state in zip(rows, states, strict=True)]


def batch_of_rows(rows: list[Example], pad_id: int) -> dict[str, Any]:
    """What a batch of rows was made of when each row was a dict of lists."""
    longest = max(len(row["input_ids"]) for row in rows)

    def padded(name: str, padding: int) -> torch.Tensor:
        lists: list[list[int]] = [row[name] for row in rows]
        return torch.tensor([values + [padding] * (longest - len(values)) for values in lists])

    batch = {
        "input_ids": padded("input_ids", pad_id),
        "attention_mask": torch.tensor(
            [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
        ),
        "labels": torch.tensor([row["label"] for row in rows]),
        "rows": torch.tensor([row["row"] for row in rows]),
    }
    if "token_type_ids" in rows[0]:
        batch["token_type_ids"] = padded("token_type_ids", 0)
    if "start" in rows[0]:
        batch["start"] = pad_sequence([row["start"].hidden for row in rows], batch_first=True)
    return batch


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("with_start", [True, False])
def test_batches_are_those_of_rows_bit_for_bit(seed: int | None, typed: bool, with_start: bool) -> None:
    rows = encoded(150, typed)
    rows = started(rows) if with_start else rows
    order = list(BucketedBatches([len(row["input_ids"]) for row in rows], 8, seed))
    loader = make_loader(Examples.of(rows), TOKENIZER, 8, seed)
    for numbers, batch in zip(order, loader, strict=True):
        expected = batch_of_rows([rows[number] for number in numbers], pad_id=7)
        found = {**batch, "start": batch["start"].hidden} if "start" in batch else dict(batch)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name].dtype == values.dtype
            assert torch.equal(found[name], values), name


@pytest.mark.parametrize("with_start", [True, False])
def test_rows_come_back_as_they_were_given(with_start: bool) -> None:
    rows = encoded(30)
    rows = started(rows) if with_start else rows
    examples = Examples.of(rows)
    for given, (number, found) in zip(rows, enumerate(examples), strict=True):
        start, expected = found.pop("start", None), dict(given)
        if with_start:
            assert start is not None
            assert torch.equal(start.hidden, expected.pop("start").hidden)
        assert found == expected
        assert type(found["label"]) is type(found["row"]) is int, number
    assert examples[-1]["row"] == 1
    with pytest.raises(IndexError):
        examples[30]


def test_a_part_keeps_order_and_repeats_and_a_slice_is_a_part() -> None:
    rows = encoded(20)
    examples = Examples.of(rows)
    assert list(examples.take([5, 2, 2])) == [rows[5], rows[2], rows[2]]
    assert list(examples[3:9:2]) == rows[3:9:2]
    assert list(examples[20:]) == [] and len(examples[:0]) == 0
    assert list(Examples.concatenated([examples[:7], examples[:0], examples[7:]])) == rows


def test_examples_that_travel_are_the_same() -> None:
    rows = encoded(20)
    assert list(pickle.loads(pickle.dumps(Examples.of(rows)))) == rows


def test_a_row_takes_little_more_than_its_tokens() -> None:
    examples = Examples.of(encoded(1000))
    arrays = (examples.input_ids, examples.lengths, examples.labels, examples.rows, examples.token_type_ids)
    assert sum(array.nbytes for array in arrays if array is not None) < 30 * 1000 + 5 * len(
        examples.input_ids
    )


@pytest.mark.parametrize("windows", [None, 4])
def test_a_split_is_encoded_in_chunks_as_it_is_whole(
    windows: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [" ".join(FILLER[row % 7 :]) + " the" * row for row in range(20)]
    split = Dataset.from_dict({"text": texts, "label": [row % 2 for row in range(20)]})
    spec = text_spec(get_task("sst2"), 20, True, windows)
    whole = encode(split, make_tokenizer(), spec)
    monkeypatch.setattr(encoding, "CHUNK", 3)
    chunked = encode(split, make_tokenizer(), spec)
    assert list(chunked) == list(whole)
    assert sorted(set(whole.rows)) == list(range(20))
    assert chunked.is_cut.tolist() == whole.is_cut.tolist()
    assert (whole.cut_texts > 0) == (windows is None) == (len(whole) == 20)


def test_a_row_without_a_token_is_refused_by_its_number() -> None:
    with pytest.raises(InputError, match="has no token that this backbone knows in row 4"):
        encoding._check_tokens([{"input_ids": [1]}, {"input_ids": []}], [2, 3])


def test_labels_may_be_none_at_all() -> None:
    empty = Examples.of([])
    assert len(empty) == 0 and empty.labels.dtype == empty.rows.dtype == np.int64
