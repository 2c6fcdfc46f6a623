"""DistilBERT."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from spt.backbones.base import AttentionFrame, Backbone, token_positions


class DistilBertBackbone(Backbone):
    """Open DistilBERT: no token types, and its own language-model head."""

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        embedded: Tensor = self.transformer.embeddings(
            batch["input_ids"], position_ids=token_positions(batch["attention_mask"])
        )
        return embedded

    def layer(self, index: int, hidden: Tensor, frame: AttentionFrame) -> Tensor:
        out: Tensor = self.transformer.transformer.layer[index](hidden, frame.bias)
        return out

    def lm_logits(self, hidden: Tensor) -> Tensor:
        model = self.model
        logits: Tensor = model.vocab_projector(
            model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
        )
        return logits
