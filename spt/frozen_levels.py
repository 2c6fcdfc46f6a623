"""What a frozen backbone makes of texts without prompts, level by level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spt.backbones.base import Backbone
from spt.heads import reduce_tokens
from spt.layer_loop import run_layers
from spt.prompts.choices import Propagate
from spt.start import Start


@torch.no_grad()
def level_means(backbone: Backbone, batch: Mapping[str, Any], levels: Sequence[int]) -> Tensor:
    """Average the tokens' states at some levels of the backbone, in one forward pass.

    Args:
        backbone: with L layers.
        batch: of B rows, as `make_loader` gives it, on the backbone's device; its start is begun with.
        levels: rising, from 0 to L, and not below the start; level i is what enters layer i, L what the head
            reads.

    Returns:
        Means over the real tokens, [B, levels, H].
    """
    mask = batch["attention_mask"]
    padded, choices = not bool(mask.all()), [Propagate() for _ in range(backbone.num_layers)]
    start = batch.get("start") or Start(0, backbone.embed(batch))
    means = []
    for level in levels:
        _, hidden = run_layers(backbone, choices, start, mask, padded=padded, stop=level)
        start = Start(level, hidden)
        last = level == backbone.num_layers
        means.append(reduce_tokens(backbone.finish(hidden) if last else hidden, mask, "mean"))
    return torch.stack(means, dim=1)
