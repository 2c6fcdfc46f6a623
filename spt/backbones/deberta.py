"""DeBERTa, and DeBERTa-v2 and v3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.deberta import modeling_deberta as v1
from transformers.models.deberta_v2 import modeling_deberta_v2 as v2

from spt.backbones.base import (
    AttentionFrame,
    Backbone,
    joint_positions,
    rows_with_own_positions,
    token_positions,
)
from spt.errors import InputError


class Relation(NamedTuple):
    """Carry a bias where relative positions go: Hugging Face hands it through to the attention as it is.

    Attributes:
        distances: query position - key position, bucketed in v2, as the attention expects them.
        bias: `AttentionFrame.bias`.
    """

    distances: Tensor
    bias: Tensor | None


class BiasedAttention(v1.DisentangledSelfAttention):
    """Add a bias to DeBERTa's relative-position scores.

    Its own mask is boolean, which a soft presence cannot be.
    """

    def disentangled_att_bias(
        self,
        query_layer: Tensor,
        key_layer: Tensor,
        relative_pos: Any,
        rel_embeddings: Tensor,
        scale_factor: int,
    ) -> Tensor:
        """Score by relative positions, with the bias: [B, heads, P + T, P + T]."""
        bias = None
        if isinstance(relative_pos, Relation):
            relative_pos, bias = relative_pos
        scores: Tensor = super().disentangled_att_bias(
            query_layer, key_layer, relative_pos, rel_embeddings, scale_factor
        )
        return scores if bias is None else scores + bias


class BiasedAttentionV2(v2.DisentangledSelfAttention):
    """Add a bias to the scores of v2 and v3, which fold batch and heads into one axis."""

    def disentangled_attention_bias(
        self,
        query_layer: Tensor,
        key_layer: Tensor,
        relative_pos: Any,
        rel_embeddings: Tensor,
        scale_factor: int,
    ) -> Tensor:
        """Score by relative positions, with the bias: [B * heads, P + T, P + T]."""
        bias = None
        if isinstance(relative_pos, Relation):
            relative_pos, bias = relative_pos
        attention: Any = super()
        scores: Tensor = attention.disentangled_attention_bias(
            query_layer, key_layer, relative_pos, rel_embeddings, scale_factor
        )
        if bias is None:
            return scores
        return scores + bias.expand(-1, self.num_attention_heads, -1, -1).flatten(0, 1)


class Places(NamedTuple):
    """Hold what DeBERTa keeps in `AttentionFrame.positions`: distances of P + T positions, their embeddings,
    and the mask [B, T]."""

    distances: Tensor
    embeddings: Tensor
    mask: Tensor


class DebertaBackbone(Backbone):
    """Open DeBERTa."""

    sdpa = False
    attention: ClassVar[type[nn.Module]] = BiasedAttention

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        for option, needed in (("relative_attention", True), ("talking_head", False)):
            value = getattr(model.config, option, False)
            if value is not needed:
                raise InputError(
                    f"This DeBERTa's {option} is {value}, but must be {needed} for prompts. "
                    "Choose another backbone."
                )
        for layer in self.transformer.encoder.layer:
            # the weights stay where they are, and copies of the backbone keep the class
            layer.attention.self.__class__ = self.attention

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        mask = batch["attention_mask"]
        embedded: Tensor = self.transformer.embeddings(
            input_ids=batch["input_ids"],
            token_type_ids=batch.get("token_type_ids"),
            position_ids=token_positions(mask),
            mask=mask,
        )
        return embedded

    def positions(self, hidden: Tensor, mask: Tensor, prompt_length: int) -> Places:
        distances = self.distances(joint_positions(rows_with_own_positions(mask), prompt_length))
        return Places(distances, self.transformer.encoder.get_rel_embedding(), mask)

    def distances(self, places: Tensor) -> Tensor:
        """Subtract positions [B or 1, P + T] -> query position - key position [B or 1, P + T, P + T]."""
        return places[:, :, None] - places[:, None]

    def layer(self, index: int, hidden: Tensor, frame: AttentionFrame) -> Tensor:
        places: Places = frame.positions
        out: Tensor = self.transformer.encoder.layer[index](
            hidden,
            torch.ones(1, 1, 1, 1, dtype=torch.bool, device=hidden.device),
            relative_pos=Relation(places.distances, frame.bias),
            rel_embeddings=places.embeddings,
        )[0]
        return out

    def lm_logits(self, hidden: Tensor) -> Tensor:
        if self.model.config.legacy:
            logits: Tensor = self.model.cls(hidden)
        else:
            logits = self.model.lm_predictions(hidden, self.transformer.embeddings.word_embeddings)
        return logits


class DebertaV2Backbone(DebertaBackbone):
    """Open DeBERTa-v2 and v3: bucketed distances, in v2 a convolution over tokens after the first layer."""

    attention = BiasedAttentionV2

    def distances(self, places: Tensor) -> Tensor:
        """Return [1, P + T, P + T], or for distances of each row's own v2's [1, B * heads, P + T, P + T]."""
        encoder = self.transformer.encoder
        distances = super().distances(places)
        if encoder.position_buckets > 0:
            distances = v2.make_log_bucket_position(
                distances, encoder.position_buckets, encoder.max_relative_positions
            ).long()
        if distances.shape[0] == 1:
            return distances
        return distances.repeat_interleave(self.model.config.num_attention_heads, dim=0)[None]

    def layer(self, index: int, hidden: Tensor, frame: AttentionFrame) -> Tensor:
        out = super().layer(index, hidden, frame)
        convolution = self.transformer.encoder.conv
        if index > 0 or convolution is None:
            return out
        # a prompt in the convolution would reach its neighbours whatever its presence
        length = frame.prompt.length
        mask = frame.positions.mask.long()
        tokens: Tensor = convolution(hidden[:, length:], out[:, length:], mask)
        return torch.cat([out[:, :length], tokens], dim=1)
