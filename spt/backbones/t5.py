"""T5 and mT5: prompts in the encoder, and a frozen decoder that scores texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from spt.backbones.base import AttentionFrame, Backbone, joint_positions, rows_with_own_positions
from spt.prompts.state import PromptState


class T5Backbone(Backbone):
    """Open T5: the layers are the encoder's.

    A prompt stands before the tokens as words would, at the positions -P to -1, and the decoder reads it
    too: a free prompt at layer 0 is what stock T5 makes of `inputs_embeds` that begin with its vectors.

    Source: Prompt Tuning (arXiv 2104.08691), which prepends to the embedded input of the encoder.
    """

    encoder_decoder: ClassVar[bool] = True

    @property
    def max_length(self) -> int:
        """Return a bound: T5 places tokens by their distance alone; longer rows only cost memory."""
        return 2**16

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        embedded: Tensor = self.transformer.encoder.embed_tokens(batch["input_ids"])
        return embedded

    def positions(self, hidden: Tensor, mask: Tensor, prompt_length: int) -> Tensor:
        """Return all layers' relative-position bias, which block 0 holds: [1 or B, heads, P + T, P + T]."""
        places = joint_positions(rows_with_own_positions(mask), prompt_length)
        attention = self.transformer.encoder.block[0].layer[0].SelfAttention
        bucket = attention._relative_position_bucket(
            places[:, None] - places[:, :, None],
            bidirectional=True,
            num_buckets=attention.relative_attention_num_buckets,
            max_distance=attention.relative_attention_max_distance,
        )
        bias: Tensor = attention.relative_attention_bias(bucket)
        return bias.permute(0, 3, 1, 2)

    def layer(self, index: int, hidden: Tensor, frame: AttentionFrame) -> Tensor:
        out: Tensor = self.transformer.encoder.block[index](
            hidden, attention_mask=frame.bias, position_bias=frame.positions
        )[0]
        return out

    def finish(self, hidden: Tensor) -> Tensor:
        finished: Tensor = self.transformer.encoder.final_layer_norm(hidden)
        return finished

    def memory(self, hidden: Tensor, mask: Tensor, prompt: PromptState) -> tuple[Tensor, Tensor | None]:
        """Return what the decoder reads, and the bias of its attention to it.

        Args:
            hidden: finished, [B, T, H].
            mask: 1 for real tokens, [B, T].
            prompt: after the last layer, not finished yet.

        Returns:
            [B, P + T, H], and [B, 1, 1, P + T] or None.
        """
        bias = self.bias(mask, prompt, hidden.dtype)
        if prompt.vectors is None:
            return hidden, bias
        return torch.cat([self.finish(prompt.vectors), hidden], dim=1), bias

    def decode(self, ids: Tensor, memory: Tensor, bias: Tensor | None) -> Tensor:
        """Run the decoder: inputs [B, S], what `memory` gave -> states [B, S, H]."""
        states: Tensor = self.transformer.decoder(
            input_ids=ids, encoder_hidden_states=memory, encoder_attention_mask=bias, use_cache=False
        ).last_hidden_state
        return states

    @property
    def start_id(self) -> int:
        """Return the token that the decoder starts from."""
        config = self.model.config
        start = getattr(config, "decoder_start_token_id", None)
        return int(config.pad_token_id if start is None else start)

    def lm_logits(self, hidden: Tensor) -> Tensor:
        """Apply the language-model head to the decoder's states: [..., H] -> [..., vocabulary]."""
        # mT5 and T5 1.1 do not scale
        if getattr(self.model.config, "scale_decoder_outputs", False):
            hidden = hidden * self.hidden_size**-0.5
        logits: Tensor = self.model.lm_head(hidden)
        return logits
