"""Where a pass through the layers begins."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Start(NamedTuple):
    """Hold hidden states, and the layer that reads them.

    A tuple, so that loaders pin it and Lightning moves it to a device as any part of a batch.

    Attributes:
        layer: the first layer to run, from 0.
        hidden: what it reads, [B, T, H]; of a single row [T, H].
    """

    layer: int
    hidden: Tensor
