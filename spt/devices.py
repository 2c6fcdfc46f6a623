"""Where and with how many threads torch computes: decided here, and nowhere else."""

from __future__ import annotations

import torch


def best_device() -> torch.device:
    """Return the accelerator of this machine, of any kind, or the CPU where there is none."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def use_threads(threads: int) -> None:
    """Let torch compute with so many threads in this process; 0 leaves torch's own choice."""
    if threads:
        torch.set_num_threads(threads)
