"""A frozen transformer opened into embed, layers and finish."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import get_ident
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from typing_extensions import Self

from spt.backbones.attention import SDPA, SDPA_ON_CPU_IN_32_BITS
from spt.errors import InputError
from spt.prompts.state import PromptState
from spt.storage.tensor_files import tensors_digest

WORDS_AT_ONCE = 8192


@dataclass(frozen=True)
class AttentionFrame:
    """Tell a layer what it must know besides hidden states, for a prompt of P before T tokens.

    Attributes:
        bias: added to the attention scores, [B, 1, 1 or P + T, P + T]; None allows everything that the
            model's own causality allows.
        window_bias: the same for layers whose tokens see a window of neighbours only.
        positions: what the family's layers need to place queries and keys (rotary tables, relative
            positions); None where hidden states carry their positions.
        prompt: the prompt whose length and presence the bias speaks of.
    """

    bias: Tensor | None
    window_bias: Tensor | None
    positions: Any
    prompt: PromptState

    def fits(self, prompt: PromptState) -> bool:
        """Say whether the frame serves another prompt too: same length and the very same presence."""
        return self.prompt.length == prompt.length and self.prompt.presence is prompt.presence


class Backbone(nn.Module, ABC):
    """Open a Hugging Face model to the layer loop. One subclass a family, one file a layout.

    The modules and weights of the model are used as they are; only the loop over layers is ours. All
    parameters are frozen and dropout stays off, also while prompts train, so that hidden states below
    the first prompt are the same in every epoch and can be cached.

    A prompt has no position embedding, and tokens keep the positions they have without one. Positions
    count real tokens from 0, so padding on either side changes nothing.

    Attributes:
        causal: whether a position sees only itself and what is before it.
        encoder_decoder: whether a decoder writes the answer; the layers are the encoder's.
        sdpa: whether the family has the fast attention kernel; the others run eager attention.
    """

    causal: ClassVar[bool] = False
    encoder_decoder: ClassVar[bool] = False
    sdpa: ClassVar[bool] = True

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model: Any = model.requires_grad_(False)
        if model.config._attn_implementation == SDPA:
            model.set_attn_implementation(SDPA_ON_CPU_IN_32_BITS)
        self.train(False)

    @property
    def transformer(self) -> Any:
        """Return the model without a language-model head."""
        return self.model.base_model

    @property
    def hidden_size(self) -> int:
        """Return H, the size of a hidden state."""
        return int(self.model.config.hidden_size)

    @property
    def num_layers(self) -> int:
        """Return L, the number of layers."""
        return int(self.model.config.num_hidden_layers)

    @property
    def max_length(self) -> int:
        """Return the most tokens a row may have, special tokens included; prompts do not count."""
        return int(self.model.config.max_position_embeddings)

    @property
    def num_vectors(self) -> int:
        """Return the number of tokens that have a vector."""
        vectors: Tensor = self.model.get_input_embeddings().weight
        return len(vectors)

    @property
    def window(self) -> int | None:
        """Return how far away a token may look in layers with a sliding window; None without such layers."""
        return None

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the weights and the hidden states."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        device: torch.device = self.model.device
        return device

    @cached_property
    def fingerprint(self) -> str:
        """Hash the weights, their names and their dtype."""
        return tensors_digest(self.model.state_dict())

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode whatever the surrounding model does."""
        return super().train(False)

    @abstractmethod
    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Embed input_ids, attention_mask and, where there are some, token_type_ids [B, T] -> [B, T, H]."""

    @torch.no_grad()
    def word_vectors(self, ids: Tensor) -> Tensor:
        """Return what layer 0 sees of each word standing alone: token ids [N] -> [N, H], on the CPU."""
        parts = [
            self.embed({"input_ids": part[:, None], "attention_mask": torch.ones_like(part)[:, None]})[:, 0]
            for part in torch.split(ids.to(self.device), WORDS_AT_ONCE)
        ]
        return torch.cat(parts).cpu()

    @abstractmethod
    def layer(self, index: int, hidden: Tensor, frame: AttentionFrame) -> Tensor:
        """Run layer `index` on prompt and tokens together: [B, P + T, H] -> [B, P + T, H]."""

    def finish(self, hidden: Tensor) -> Tensor:
        """Do what the model does after its last layer, for example a final norm: [B, T, H] -> [B, T, H]."""
        return hidden

    @abstractmethod
    def lm_logits(self, hidden: Tensor) -> Tensor:
        """Apply the language-model head: [..., H] -> [..., vocabulary]."""

    def lm_features(self, hidden: Tensor) -> Tensor:
        """Return what the language-model head multiplies with its word vectors: [..., H] -> [..., word size].

        Raises:
            InputError: if the family's head has no such last product of its own.
        """
        projection = self.word_projection
        seen: list[Tensor] = []
        own_thread = get_ident()

        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            # other threads may run the same head meanwhile
            if get_ident() == own_thread:
                seen.append(inputs[0])

        hook = projection.register_forward_pre_hook(note)
        try:
            self.lm_logits(hidden)
        finally:
            hook.remove()
        return seen[0]

    @property
    def word_projection(self) -> nn.Linear:
        """Return the last layer of the language-model head, one row a word.

        Raises:
            InputError: as `lm_features`.
        """
        projection = self.model.get_output_embeddings()
        config = self.model.config
        if not isinstance(projection, nn.Linear) or len(projection.weight) != config.vocab_size:
            raise InputError(
                f"The language-model head of this {config.model_type} has no layer of word vectors that "
                "label vectors could start from. Set head.kind to verbalizer."
            )
        return projection

    def positions(self, hidden: Tensor, mask: Tensor, prompt_length: int) -> Any:
        """Return what `AttentionFrame.positions` holds; nothing by default."""
        return None

    def frame(self, hidden: Tensor, mask: Tensor, prompt: PromptState, padded: bool = True) -> AttentionFrame:
        """Make what a layer's attention reads beside the states.

        Args:
            hidden: states of the tokens, [B, T, H].
            mask: 1 for real tokens, [B, T].
            prompt: of length P.
            padded: whether the mask may hold a 0; where it does not, there may be no need of a bias.
        """
        bias = self.bias(mask, prompt, hidden.dtype, padded=padded)
        window_bias = bias
        # an exported graph serves every length
        if self.window is not None and (torch.compiler.is_exporting() or mask.shape[1] > self.window + 1):
            window_bias = self.bias(mask, prompt, hidden.dtype, self.window, padded)
        return AttentionFrame(bias, window_bias, self.positions(hidden, mask, prompt.length), prompt)

    def bias(
        self,
        mask: Tensor,
        prompt: PromptState,
        dtype: torch.dtype,
        window: int | None = None,
        padded: bool = True,
    ) -> Tensor | None:
        """Return what is added to attention scores.

        Padding and unseen positions are shut out, prompts get log(presence).

        Args:
            mask: 1 for real tokens, [B, T].
            prompt: of length P.
            dtype: of the attention scores.
            window: how far away a token may look; None for everywhere.
            padded: whether the mask may hold a 0. Whoever asks looks once a batch: on a GPU each look waits.

        Returns:
            [B, 1, 1 or P + T, P + T], or None where nothing needs to be added.
        """
        # half, so that it stays a number where autocast makes bf16 of it
        smallest = torch.finfo(dtype).min / 2
        all_allowed = prompt.presence is None and window is None and not padded
        # sdpa applies the model's own causality where it gets no mask; eager attention does not
        if all_allowed and (not self.causal or self.model.config._attn_implementation != "eager"):
            return None
        keys = torch.where(mask.bool(), 0.0, smallest).to(dtype)
        if prompt.length:
            keys = torch.cat([_prompt_bias(prompt, mask, smallest).to(dtype), keys], dim=1)
        bias = keys[:, None, None]
        if not self.causal and window is None:
            return bias
        visible = _visible(mask, prompt.length, self.causal, window)
        return torch.where(visible, bias, smallest)


def token_positions(mask: Tensor) -> Tensor:
    """Place each token among its row's real tokens, from 0; padding anywhere: mask [B, T] -> [B, T]."""
    return (mask.long().cumsum(1) - 1).clamp_min(0)


def rows_with_own_positions(mask: Tensor) -> Tensor:
    """Return a mask of the rows whose tokens' distances differ: one row where no padding is on the left.

    Args:
        mask: 1 for real tokens, [B, T].

    Returns:
        [1 or B, T]; an exported graph cannot look, and has them all.
    """
    shared = not torch.compiler.is_exporting() and bool(mask[:, 0].all())
    return torch.ones_like(mask[:1]) if shared else mask


def joint_positions(mask: Tensor, prompt_length: int) -> Tensor:
    """Place the prompt at -P to -1 and the tokens behind it: mask [B, T] -> [B, P + T]."""
    prompt = torch.arange(-prompt_length, 0, device=mask.device)
    return torch.cat([prompt.expand(mask.shape[0], -1), token_positions(mask)], dim=1)


def _prompt_bias(prompt: PromptState, mask: Tensor, smallest: float) -> Tensor:
    """Return the bias on the prompt's positions, [B, P]."""
    if prompt.presence is None:
        return torch.zeros(mask.shape[0], prompt.length, device=mask.device)
    log = prompt.log_presence(smallest)
    return (log if log.ndim == 2 else log[:, None]).expand(mask.shape[0], prompt.length)


def _visible(mask: Tensor, prompt_length: int, causal: bool, window: int | None) -> Tensor:
    """Say which query may see which key, padding aside: [P + T, P + T].

    No window hides a prompt or binds it."""
    place = torch.arange(-prompt_length, mask.shape[1], device=mask.device)
    distance = place[:, None] - place
    visible = distance >= 0 if causal else torch.ones_like(distance, dtype=torch.bool)
    if window is not None:
        is_prompt = place < 0
        visible = visible & ((distance.abs() <= window) | is_prompt | is_prompt[:, None])
    return visible
