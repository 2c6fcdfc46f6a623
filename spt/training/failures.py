"""Which failures of the libraries below are a training's own, and which the machine's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from spt.errors import TrialFailed

# what torch's error names where the machine's memory is at its end
CPU_ALLOCATOR = "DefaultCPUAllocator"


@contextmanager
def device_memory() -> Iterator[None]:
    """Let a device that is out of memory be a training that failed: another one may need less.

    Raises:
        TrialFailed: in its place; it may pass, as others may have filled the device.
        MemoryError: where it is the machine's own memory, of which torch has no error of its own.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        failed = TrialFailed(
            f"The device is out of memory ({_first_line(error)}). Lower training.batch_size, or set "
            "training.checkpointing to true."
        )
        failed.may_pass = True
        raise failed from error
    except RuntimeError as error:
        if CPU_ALLOCATOR in str(error):
            raise MemoryError(_first_line(error)) from error
        raise


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
