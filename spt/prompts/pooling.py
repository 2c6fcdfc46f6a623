"""Poolers: token features [B, T, R] -> prompt features [B, P, R], over each row's real tokens only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def segments(mask: Tensor, length: int) -> Tensor:
    """Say which tokens fall into which of the P segments of adaptive pooling.

    Args:
        mask: 1 for real tokens, [B, T]; padding may be on either side.
        length: P.

    Returns:
        Booleans [B, P, T]. Segment p of a row with t real tokens covers floor(p t / P) to
        ceil((p + 1) t / P), as torch's adaptive pooling does, so segments overlap when t < P.
    """
    order = mask.cumsum(1) - 1
    total = mask.sum(1, keepdim=True)
    index = torch.arange(length, device=mask.device)
    start = index * total // length
    end = ((index + 1) * total + length - 1) // length
    inside = (order[:, None] >= start[..., None]) & (order[:, None] < end[..., None])
    return inside & mask[:, None].bool()


class AveragePooler(nn.Module):
    """Average over adaptive segments (LPT's APPG)."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        inside = segments(mask, self.length).to(features.dtype)
        return (inside / inside.sum(-1, keepdim=True).clamp_min(1)) @ features


class MaxPooler(nn.Module):
    """Take the maximum over adaptive segments (LPT's MPPG)."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        outside = ~segments(mask, self.length)[..., None]
        smallest = torch.finfo(features.dtype).min
        return features[:, None].masked_fill(outside, smallest).amax(2)


class FirstTokenPooler(nn.Module):
    """Repeat the first real token for every prompt position."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        first = mask.argmax(1)
        rows = torch.arange(features.shape[0], device=features.device)
        return features[rows, first][:, None].expand(-1, self.length, -1)


class AttentionPooler(nn.Module):
    """Attend to the tokens with one learned query a prompt position (self-attention pooling, IAPT)."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.queries = nn.Linear(width, length, bias=False)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        scores = self.queries(features).masked_fill(~mask[..., None].bool(), torch.finfo(features.dtype).min)
        pooled: Tensor = scores.softmax(1).transpose(1, 2) @ features
        return pooled


Pooler = Callable[[int, int], nn.Module]
POOLERS: dict[str, Pooler] = {
    "average": AveragePooler,
    "max": MaxPooler,
    "first": FirstTokenPooler,
    "attention": AttentionPooler,
}
