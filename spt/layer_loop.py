"""The layer loop: frozen layers one after another, each with the prompt from below or a new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spt.backbones.base import AttentionFrame, Backbone
from spt.prompts.state import EMPTY, PromptState
from spt.start import Start

# (prompt, hidden [B, T, H], mask [B, T]) -> the prompt that enters the layer
Choice = Callable[[PromptState, Tensor, Tensor], PromptState]


def run_layers(
    backbone: Backbone,
    choices: Sequence[Choice] | nn.ModuleList,
    start: Start,
    mask: Tensor,
    *,
    padded: bool,
    prompt: PromptState = EMPTY,
    stop: int | None = None,
    checkpointing: bool = False,
) -> tuple[PromptState, Tensor]:
    """Run the layers from `start` on, each on the prompt that its choice gives and on the tokens.

    Args:
        backbone: whose layers run.
        choices: one a layer of the backbone.
        start: the first layer to run, and what it reads.
        mask: 1 for real tokens, [B, T].
        padded: whether the mask may hold a 0. Whoever asks looks once a batch: on a GPU each look waits.
        prompt: that comes from below the first layer to run.
        stop: the layer to stop before; None runs to the last.
        checkpointing: run each layer that is differentiated a second time in the backward pass instead of
            keeping its activations.

    Returns:
        The prompt and the hidden states [B, T, H] that the last layer leaves.
    """
    run: Any = partial(checkpoint, run_layer, use_reentrant=False) if checkpointing else run_layer
    hidden, frame = start.hidden, None
    for index in range(start.layer, len(choices) if stop is None else stop):
        prompt = choices[index](prompt, hidden, mask)
        if frame is None or not frame.fits(prompt):
            frame = backbone.frame(hidden, mask, prompt, padded)
        prompt, hidden = run(backbone, index, prompt, prompt.shifted(hidden), frame)
    return prompt, hidden


def run_layer(
    backbone: Backbone, index: int, prompt: PromptState, hidden: Tensor, frame: AttentionFrame
) -> tuple[PromptState, Tensor]:
    """Run one layer on the prompt in front of the tokens, and part them again.

    Args:
        backbone: whose layer it is.
        index: of the layer, 0 to L-1.
        prompt: that the layer reads, [B, P, H] or empty.
        hidden: states of the tokens, [B, T, H].
        frame: of this prompt and these tokens, from `Backbone.frame`.

    Returns:
        The prompt that the layer passes on, and the tokens' states [B, T, H].
    """
    if prompt.vectors is None:
        # what shifted the tokens of this layer is done with
        return EMPTY, backbone.layer(index, hidden, frame)
    joined = backbone.layer(index, torch.cat([prompt.vectors.to(hidden.dtype), hidden], dim=1), frame)
    return prompt.moved(joined[:, : prompt.length]), joined[:, prompt.length :]
