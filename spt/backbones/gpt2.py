"""GPT-2."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from spt.backbones.base import AttentionFrame, Backbone, token_positions


class Gpt2Backbone(Backbone):
    """Open GPT-2: causal, with learned positions that belong to the tokens."""

    causal = True

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        words: Tensor = self.transformer.wte(batch["input_ids"])
        places: Tensor = self.transformer.wpe(token_positions(batch["attention_mask"]))
        return words + places

    def layer(self, index: int, hidden: Tensor, frame: AttentionFrame) -> Tensor:
        out: Tensor = self.transformer.h[index](hidden, attention_mask=frame.bias)
        return out

    def finish(self, hidden: Tensor) -> Tensor:
        finished: Tensor = self.transformer.ln_f(hidden)
        return finished

    def lm_logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.model.lm_head(hidden)
        return logits
