"""A device that is out of memory is a training that failed; the machine's memory is not."""

from __future__ import annotations

import pytest
import torch

from spt.errors import TrialFailed
from spt.training.failures import device_memory


def test_only_the_devices_memory_is_the_trainings_own_failure() -> None:
    with (
        pytest.raises(
            TrialFailed, match=r"out of memory \(CUDA out of memory\. Tried\)\. Lower training.batch"
        ),
        device_memory(),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried\nmore")
    with pytest.raises(MemoryError), device_memory():
        raise MemoryError
