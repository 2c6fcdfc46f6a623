"""What a baseline reads of encoded rows: their tokens as words, or states of the backbone without prompts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spt.data.encoded.batches import make_loader, to_device
from spt.data.encoded.examples import Examples
from spt.frozen_levels import level_means
from spt.workbench import Workbench

# levels of the backbone that are read, at most
LEVELS = 8


def token_texts(examples: Examples) -> list[str]:
    """Write each example's tokens as a text of numbers."""
    bounds = examples.offsets
    return [
        " ".join(map(str, examples.input_ids[bounds[number] : bounds[number + 1]].tolist()))
        for number in range(len(examples))
    ]


def level_features(bench: Workbench, examples: Examples) -> NDArray[np.float32]:
    """Return the means of the tokens' states at the levels, side by side: [N, levels * H]."""
    backbone = bench.backbone
    levels = sorted({round(level) for level in np.linspace(0, backbone.num_layers, LEVELS)})
    # by their places, because windows share a row
    placed = replace(examples, rows=np.arange(len(examples)))
    features = np.empty((len(examples), len(levels) * backbone.hidden_size), dtype=np.float32)
    for cpu_batch in make_loader(placed, bench.tokenizer, bench.training.eval_batch_size):
        means = level_means(backbone, to_device(cpu_batch, backbone.device), levels)
        features[cpu_batch["rows"].numpy()] = means.flatten(1).float().cpu().numpy()
    return features
