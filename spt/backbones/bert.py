"""BERT, and through the same layout RoBERTa, XLM-R and CamemBERT."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from transformers import PreTrainedModel

from spt.backbones.base import AttentionFrame, Backbone, token_positions


class BertBackbone(Backbone):
    """Open BERT."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        # nothing here uses it, and many checkpoints lack it: its weights would be random
        self.transformer.pooler = None

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        embedded: Tensor = self.transformer.embeddings(
            input_ids=batch["input_ids"],
            token_type_ids=batch.get("token_type_ids"),
            position_ids=token_positions(batch["attention_mask"]),
        )
        return embedded

    def layer(self, index: int, hidden: Tensor, frame: AttentionFrame) -> Tensor:
        out: Tensor = self.transformer.encoder.layer[index](hidden, frame.bias)
        return out

    def lm_logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.model.cls(hidden)
        return logits


class RobertaBackbone(BertBackbone):
    """Open RoBERTa; XLM-RoBERTa and CamemBERT have the same modules under the same names."""

    @property
    def _first_position(self) -> int:
        """Return the first token's position: RoBERTa's start after the padding token's."""
        return int(self.model.config.pad_token_id) + 1

    @property
    def max_length(self) -> int:
        return super().max_length - self._first_position

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        embedded: Tensor = self.transformer.embeddings(
            input_ids=batch["input_ids"],
            token_type_ids=batch.get("token_type_ids"),
            position_ids=token_positions(batch["attention_mask"]) + self._first_position,
        )
        return embedded

    def lm_logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.model.lm_head(hidden)
        return logits
