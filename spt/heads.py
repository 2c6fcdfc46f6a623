"""From the last hidden states to class scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from spt.backbones.base import Backbone
from spt.errors import InputError


class Output(NamedTuple):
    """What a prompted model gives: features [B, H], the head's input, and logits [B, C]."""

    features: Tensor
    logits: Tensor


Reduction = Literal["mean", "first", "last"]


def reduce_tokens(hidden: Tensor, mask: Tensor, reduction: Reduction) -> Tensor:
    """[B, T, H], mask [B, T] -> [B, H]: the mean, first or last of each row's real tokens."""
    if reduction == "mean":
        weights = mask[..., None].to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)
    index = torch.arange(mask.shape[1], device=mask.device) * mask
    position = mask.argmax(1) if reduction == "first" else index.argmax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), position]


class ClassificationHead(nn.Module):
    """Reduce to one vector a row, then a trained linear layer."""

    def __init__(self, hidden_size: int, classes: int, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction = reduction
        self.linear = nn.Linear(hidden_size, classes)

    def forward(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Output:
        """hidden [B, T, H] -> features [B, H], logits [B, C]."""
        features = reduce_tokens(hidden, batch["attention_mask"], self.reduction)
        return Output(features, self.linear(features))


class VerbalizerHead(nn.Module):
    """The frozen language-model head, read at the mask (or the last token) over one label word a class.

    Nothing in it trains. Source: LPT's protocol (arXiv 2210.11292, section 4).

    Args:
        backbone: loaded with its language-model head.
        label_word_ids: one token a class, in class order.
        mask_id: the mask token, None for causal models, which read the last token.
    """

    label_words: Tensor

    def __init__(self, backbone: Backbone, label_word_ids: Sequence[int], mask_id: int | None) -> None:
        super().__init__()
        if mask_id is None and not backbone.causal:
            raise InputError(
                "This masked language model's tokenizer has no mask token. Use a classification head."
            )
        self.mask_id = mask_id
        self.register_buffer("label_words", torch.tensor(label_word_ids), persistent=False)
        self._lm_logits = backbone.lm_logits

    def forward(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> Output:
        """hidden [B, T, H] -> features [B, H], logits [B, C]."""
        if self.mask_id is None:
            features = reduce_tokens(hidden, batch["attention_mask"], "last")
        else:
            at = (batch["input_ids"] == self.mask_id).int().argmax(1)
            features = hidden[torch.arange(len(hidden), device=hidden.device), at]
        return Output(features, self._lm_logits(features)[:, self.label_words])
