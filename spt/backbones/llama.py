"""Llama, and through the same layout Mistral, Qwen2 and Qwen3."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from spt.backbones.base import AttentionFrame, Backbone, joint_positions


class LlamaBackbone(Backbone):
    """Open Llama (SmolLM2 is one): causal, with rotary positions that start at -P for a prompt of P."""

    causal = True

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        embedded: Tensor = self.transformer.embed_tokens(batch["input_ids"])
        return embedded

    def positions(self, hidden: Tensor, mask: Tensor, prompt_length: int) -> tuple[Tensor, Tensor]:
        """Return the rotary tables (cos, sin), each [B, P + T, head size]."""
        tables: tuple[Tensor, Tensor] = self.transformer.rotary_emb(
            hidden, joint_positions(mask, prompt_length)
        )
        return tables

    def has_window(self, index: int) -> bool:
        """Say whether the tokens of layer `index` see a window only."""
        return False

    def layer(self, index: int, hidden: Tensor, frame: AttentionFrame) -> Tensor:
        out: Tensor = self.transformer.layers[index](
            hidden,
            attention_mask=frame.window_bias if self.has_window(index) else frame.bias,
            position_embeddings=frame.positions,
        )
        return out

    def finish(self, hidden: Tensor) -> Tensor:
        finished: Tensor = self.transformer.norm(hidden)
        return finished

    def lm_logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.model.lm_head(hidden)
        return logits


class MistralBackbone(LlamaBackbone):
    """Open Mistral: every layer has the sliding window, where the configuration gives one."""

    @property
    def window(self) -> int | None:
        # Hugging Face counts the token itself
        size = self.model.config.sliding_window
        return None if size is None else int(size) - 1

    def has_window(self, index: int) -> bool:
        return self.window is not None


class QwenBackbone(MistralBackbone):
    """Open Qwen2 and Qwen3: the configuration says which layers have the sliding window."""

    def has_window(self, index: int) -> bool:
        return bool(self.model.config.layer_types[index] == "sliding_attention")
