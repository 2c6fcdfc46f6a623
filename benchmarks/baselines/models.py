"""Models whose tuned weights are inside the backbone, and what peft makes of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from typing_extensions import Self

from spt.backbones.base import Backbone
from spt.heads import Output
from spt.model import PromptedModel
from spt.prompts.choices import Propagate
from spt.prompts.state import EMPTY
from spt.start import Start


class TunedBackbone(PromptedModel):
    """A backbone some of whose weights train, without a prompt, in the project's own layer loop.

    The backbone's dropout is on while it trains, as in the papers of these methods: there are no frozen
    states below a first prompt that could be cached.
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__(backbone, [Propagate() for _ in range(backbone.num_layers)], head)

    @property
    def first_prompt_layer(self) -> int:
        """Return 0: every layer is in the graph."""
        return 0

    def prefix(self, batch: Mapping[str, Any], start: Start | None = None) -> Start:
        """Return the embeddings, which may train too."""
        return start or Start(0, self.backbone.embed(batch))

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the backbone too."""
        super().train(mode)
        self.backbone.model.train(mode)
        return self


class PrefixedModel(TunedBackbone):
    """Keys and values before those of the tokens at every layer, which peft hands to the model.

    Args:
        backbone: whose transformer peft has wrapped.
        head: reads the last hidden states.
        wrapped: a PeftModel that holds the learned keys and values. As in P-tuning v2's code, the tokens'
            positions begin behind them.
        argument: by which the transformer takes them.
    """

    def __init__(self, backbone: Backbone, head: nn.Module, wrapped: PeftModel, argument: str) -> None:
        super().__init__(backbone, head)
        self.wrapped = wrapped
        self.argument = argument

    def forward(self, batch: Mapping[str, Any], start: Start | None = None) -> Output:
        """Return the head's output, as PromptedModel.forward."""
        mask = batch["attention_mask"]
        # asked for by hand, because a PeftModel's own forward leaves token types out and knows one argument
        past: Any = self.wrapped.get_prompt(batch_size=len(mask))
        types = {"token_type_ids": batch["token_type_ids"]} if "token_type_ids" in batch else {}
        hidden = self.backbone.transformer(
            input_ids=batch["input_ids"],
            attention_mask=torch.cat([mask.new_ones(len(mask), past.get_seq_length()), mask], dim=1),
            **{self.argument: past},
            **types,
        ).last_hidden_state
        output: Output = self.head(hidden, batch, EMPTY)
        return output


class EncodedPrompt(nn.Module):
    """A free prompt that a small network makes of learned vectors (P-Tuning, arXiv 2103.10385).

    Args:
        encoder: peft's PromptEncoder.
        length: P.
    """

    indices: Tensor

    def __init__(self, encoder: nn.Module, length: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("indices", torch.arange(length), persistent=False)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the prompt [B, P, H]; hidden [B, T, H] gives B only."""
        prompt: Tensor = self.encoder(self.indices[None])
        return prompt.expand(len(hidden), -1, -1)


class BottleneckAdapter(nn.Module):
    """x + up(relu(down(x))), the identity at first (Houlsby et al., arXiv 1902.00751)."""

    def __init__(self, hidden_size: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(hidden_size, width)
        self.up = nn.Linear(width, hidden_size)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Adapt states [..., H] -> [..., H]."""
        change: Tensor = self.up(self.down(x).relu())
        return x + change
