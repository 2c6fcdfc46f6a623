"""Which failures of the libraries below are a training's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from spt.errors import TrialFailed


@contextmanager
def device_memory() -> Iterator[None]:
    """Let a device that is out of memory be a training that failed: another one may need less.

    Raises:
        TrialFailed: in its place.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrialFailed(
            f"The device is out of memory ({str(error).splitlines()[0]}). Lower training.batch_size, or set "
            "training.checkpointing to true."
        ) from error
