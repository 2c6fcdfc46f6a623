"""Poolers against torch's own pooling, one row at a time, on ragged batches padded on either side."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from spt.prompts.pooling import POOLERS, segments

SIDES = ["right", "left"]
WIDTH = 5


def ragged(lengths: list[int], side: str, extra: int = 0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features [B, T, R], large where they are padding, and their mask [B, T]."""
    columns = max(lengths) + extra
    torch.manual_seed(seed)
    features = torch.randn(len(lengths), columns, WIDTH)
    place = torch.arange(columns)
    total = torch.tensor(lengths)[:, None]
    mask = (place < total if side == "right" else place >= columns - total).long()
    return torch.where(mask[..., None].bool(), features, torch.tensor(1e4)), mask


def real(features: Tensor, mask: Tensor) -> list[Tensor]:
    """The real tokens of each row [t, R]."""
    return [row[keep] for row, keep in zip(features, mask.bool(), strict=True)]


@pytest.mark.parametrize("name", ["average", "max"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    length=st.integers(1, 9),
    side=st.sampled_from(SIDES),
    extra=st.integers(0, 3),
)
@example(lengths=[1, 12], length=9, side="left", extra=0)
@example(lengths=[3], length=3, side="right", extra=2)
def test_adaptive_pooling_is_torchs(
    name: str, lengths: list[int], length: int, side: str, extra: int
) -> None:
    features, mask = ragged(lengths, side, extra)
    torchs = {"average": functional.adaptive_avg_pool1d, "max": functional.adaptive_max_pool1d}[name]
    expected = torch.stack([torchs(row.T[None], length)[0].T for row in real(features, mask)])
    torch.testing.assert_close(POOLERS[name](WIDTH, length)(features, mask), expected)


@pytest.mark.parametrize("side", SIDES)
def test_first_token_pooler_repeats_the_first_real_token(side: str) -> None:
    features, mask = ragged([4, 1, 6], side)
    pooled = POOLERS["first"](WIDTH, 3)(features, mask)
    expected = torch.stack([row[:1].expand(3, -1) for row in real(features, mask)])
    torch.testing.assert_close(pooled, expected)


@pytest.mark.parametrize("side", SIDES)
def test_attention_pooler_weighs_real_tokens_by_softmax(side: str) -> None:
    features, mask = ragged([4, 1, 6], side)
    torch.manual_seed(1)
    pooler = POOLERS["attention"](WIDTH, 3)
    queries = pooler.queries.weight
    expected = torch.stack([(row @ queries.T).softmax(0).T @ row for row in real(features, mask)])
    torch.testing.assert_close(pooler(features, mask), expected)


def test_segments_cover_every_real_token_and_no_padding() -> None:
    _, mask = ragged([7, 2, 1], "left", extra=1)
    inside = segments(mask, 4)
    assert torch.equal(inside.any(1), mask.bool())
    assert inside.any(2).all()


@pytest.mark.parametrize("name", POOLERS)
@pytest.mark.parametrize("side", SIDES)
def test_gradients_reach_real_tokens_only(name: str, side: str) -> None:
    features, mask = ragged([4, 2], side, extra=1)
    features.requires_grad_(True)
    POOLERS[name](WIDTH, 3)(features, mask).square().sum().backward()
    touched = features.grad.abs().sum(-1) > 0
    assert not touched[~mask.bool()].any()
    assert touched.any(1).all()
    if name in ("average", "attention"):
        assert torch.equal(touched, mask.bool())


@pytest.mark.parametrize("name", POOLERS)
def test_what_stands_in_the_padding_does_not_matter(name: str) -> None:
    features, mask = ragged([4, 2], "right", extra=2)
    torch.manual_seed(2)
    pooler = POOLERS[name](WIDTH, 3)
    other = torch.where(mask[..., None].bool(), features, torch.tensor(-7.0))
    torch.testing.assert_close(pooler(other, mask), pooler(features, mask))
