"""ELECTRA: BERT's layers behind narrower embeddings."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from spt.backbones.bert import BertBackbone


class ElectraBackbone(BertBackbone):
    """Open ELECTRA; the language-model head is the generator's."""

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        embedded = super().embed(batch)
        if hasattr(self.transformer, "embeddings_project"):
            embedded = self.transformer.embeddings_project(embedded)
        return embedded

    def lm_logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.model.generator_lm_head(self.model.generator_predictions(hidden))
        return logits
