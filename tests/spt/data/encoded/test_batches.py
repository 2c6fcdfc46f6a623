"""Batches: every row once, similar lengths, deterministic, padded on the right."""

from itertools import chain
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric.utilities import move_data_to_device
from torch.utils.data._utils.pin_memory import pin_memory

from spt.data.encoded.batches import BucketedBatches, collate, make_loader, to_device
from spt.data.encoded.examples import Examples
from spt.data.splitting.halves import split_in_halves
from spt.start import Start

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=300)
TOKENIZER = SimpleNamespace(pad_token_id=7, eos_token_id=9)


def examples(lengths, types=True):
    """Rows of these lengths, the labels in turn."""
    rows = []
    for row, length in enumerate(lengths):
        rows.append({"input_ids": [row + 100] * length, "label": row % 2, "row": row})
        if types:
            rows[-1]["token_type_ids"] = [1] * length
    return Examples.of(rows)


@given(LENGTHS, st.integers(1, 40), st.none() | st.integers(0, 1000), st.integers(0, 20))
def test_every_row_comes_once_an_epoch(lengths, size, seed, epoch):
    sampler = BucketedBatches(lengths, size, seed)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert sorted(chain(*batches)) == list(range(len(lengths)))
    assert len(batches) == len(sampler)
    assert sorted(map(len, batches))[1:] == [size] * (len(batches) - 1)
    assert batches == list(sampler)


def test_the_order_depends_on_seed_and_epoch_and_nothing_else():
    def order(seed, epoch):
        sampler = BucketedBatches([5] * 100, 10, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    torch.manual_seed(0)
    first = order(0, 0)
    torch.manual_seed(1)
    assert order(0, 0) == first
    assert order(0, 1) != first != order(1, 0)


def test_buckets_save_most_of_the_padding():
    lengths = torch.randint(4, 60, (3000,), generator=torch.Generator().manual_seed(0)).tolist()
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in BucketedBatches(lengths, 16, 0))
    assert padded < 1.08 * sum(lengths)


def test_batches_of_short_and_long_rows_alternate():
    longest = [max(batch) for batch in BucketedBatches(range(1, 101), 10, 0)]
    assert sorted(longest) == list(range(9, 100, 10))
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


def test_evaluation_goes_from_long_to_short_in_a_fixed_order():
    sampler = BucketedBatches([3, 9, 3, 5], 2, None)
    sampler.set_epoch(3)
    assert list(sampler) == [[1, 3], [0, 2]]


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match="batch_size is 0, but must be >= 1"):
        BucketedBatches([1], 0, None)


def test_a_batch_is_padded_on_the_right():
    batch = collate(examples([1, 3]), pad_id=7)
    assert batch["input_ids"].tolist() == [[100, 7, 7], [101, 101, 101]]
    assert batch["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert batch["token_type_ids"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert batch["labels"].tolist() == [0, 1]
    assert batch["rows"].tolist() == [0, 1]
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}
    assert "token_type_ids" not in collate(examples([2], types=False), pad_id=7)


def with_start(lengths, layer=2):
    """Rows that bring the hidden states of a layer, filled with the row's number."""
    states = [torch.full((length, 4), float(row)) for row, length in enumerate(lengths)]
    return examples(lengths).starting(layer, torch.cat(states))


def test_a_start_is_batched_padded_and_moved_with_its_batch():
    batch = collate(with_start([1, 3]), pad_id=7)
    assert batch["start"].layer == 2
    assert batch["start"].hidden[..., 0].tolist() == [[0, 0, 0], [1, 1, 1]]
    for moved in (to_device(batch, torch.device("meta")), move_data_to_device(batch, torch.device("meta"))):
        assert isinstance(moved["start"], Start)
        assert moved["start"].layer == 2
        assert moved["start"].hidden.is_meta
    assert "start" not in collate(examples([2]), pad_id=7)


def test_a_start_is_pinned_with_its_batch(monkeypatch):
    pinned = []
    # pinning itself needs a GPU
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor, *_: pinned.append(tensor) or tensor)
    batch = pin_memory(collate(with_start([1, 3]), pad_id=7))
    assert isinstance(batch["start"], Start)
    assert any(tensor is batch["start"].hidden for tensor in pinned)


@pytest.mark.parametrize(("pad", "eos", "used"), [(7, 9, 7), (None, 9, 9), (None, None, 0)])
def test_the_padding_token_is_pad_or_end_or_zero(pad, eos, used):
    tokenizer = SimpleNamespace(pad_token_id=pad, eos_token_id=eos)
    (batch,) = make_loader(examples([1, 2]), tokenizer, 2)
    assert batch["input_ids"][batch["attention_mask"] == 0].tolist() == [used]


def test_a_loader_gives_every_row_and_leaves_the_global_generator_alone():
    loader = make_loader(examples(range(1, 50)), TOKENIZER, 8, seed=0)
    before = torch.get_rng_state()
    rows = torch.cat([batch["rows"] for batch in loader])
    assert torch.equal(before, torch.get_rng_state())
    assert sorted(rows.tolist()) == list(range(49))


def test_lightning_can_set_the_epoch():
    sampler = make_loader(examples([1] * 20), TOKENIZER, 2, seed=0).batch_sampler
    first = list(sampler)
    sampler.sampler.set_epoch(1)
    assert list(sampler) != first


@given(st.integers(4, 80), st.integers(0, 50))
def test_halves_are_disjoint_complete_and_stratified(number, seed):
    first, second = split_in_halves(make_loader(examples([3] * number), TOKENIZER, 4, seed=0), seed)
    rows = [torch.cat([batch["rows"] for batch in half]).tolist() for half in (first, second)]
    assert sorted(rows[0] + rows[1]) == list(range(number))
    assert 0 <= len(rows[0]) - len(rows[1]) <= 1
    assert abs(sum(row % 2 for row in rows[0]) - sum(row % 2 for row in rows[1])) <= 2


def test_halves_depend_on_the_seed_and_shuffle_apart():
    loader = make_loader(examples([3] * 40), TOKENIZER, 4, seed=0)
    rows = [{example["row"] for example in split_in_halves(loader, seed)[0].dataset} for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]
    first, second = split_in_halves(loader, 0)
    assert list(first.batch_sampler) != list(second.batch_sampler)
    other = make_loader(examples([3] * 40), TOKENIZER, 4, seed=1)
    halves = [half for split in (loader, other) for half in split_in_halves(split, 0)]
    assert len({str(list(half.batch_sampler)) for half in halves}) == 4


def test_halves_keep_the_windows_of_a_row_together_whatever_the_rows_are_called():
    # every other row has three windows; the rows' numbers have gaps
    windows = [(3 * row, row % 2) for row in range(8) for _ in range(3 if row % 2 else 1)]
    loader = make_loader(
        [{"input_ids": [5] * 3, "label": label, "row": row} for row, label in windows], TOKENIZER, 2
    )
    first, second = (
        [(example["row"], example["label"]) for example in half.dataset]
        for half in split_in_halves(loader, 0)
    )
    assert sorted(first + second) == sorted(windows)
    for half in (first, second):
        assert sorted(label for _, label in set(half)) == [0, 0, 1, 1]
    assert not set(first) & set(second)


@pytest.mark.parametrize("gpu", [False, True])
def test_batches_are_pinned_where_there_is_a_gpu(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert make_loader(examples([3, 5]), TOKENIZER, 2).pin_memory is gpu
