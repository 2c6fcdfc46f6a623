"""ModernBERT."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from spt.backbones.base import AttentionFrame, Backbone, joint_positions


class ModernBertBackbone(Backbone):
    """Open ModernBERT: layers see everything or a window in turn, each kind with its own rotary tables."""

    @property
    def window(self) -> int:
        return int(self.model.config.sliding_window)

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        embedded: Tensor = self.transformer.embeddings(batch["input_ids"])
        return embedded

    def positions(self, hidden: Tensor, mask: Tensor, prompt_length: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Return for each kind of layer the rotary tables (cos, sin), each [B, P + T, head size]."""
        places = joint_positions(mask, prompt_length)
        kinds = set(self.model.config.layer_types)
        return {kind: self.transformer.rotary_emb(hidden, places, kind) for kind in kinds}

    def layer(self, index: int, hidden: Tensor, frame: AttentionFrame) -> Tensor:
        kind = self.model.config.layer_types[index]
        out: Tensor = self.transformer.layers[index](
            hidden,
            attention_mask=frame.window_bias if kind == "sliding_attention" else frame.bias,
            position_embeddings=frame.positions[kind],
        )
        return out

    def finish(self, hidden: Tensor) -> Tensor:
        finished: Tensor = self.transformer.final_norm(hidden)
        return finished

    def lm_logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.model.decoder(self.model.head(hidden))
        return logits
