"""Where and with how many threads torch computes in this process: decided here, and nowhere else."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from spt.errors import InputError
from spt.process.modes import AUTO, device_name

TOKENIZER_THREADS = "RAYON_NUM_THREADS"
# the one that `use_device` set; empty while the best one is taken
_chosen: list[torch.device] = []


def best_device() -> torch.device:
    """Return the accelerator of this machine, of any kind, or the CPU where there is none."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def chosen_device() -> torch.device:
    """Return the device that `use_device` named, or else the best one."""
    return _chosen[0] if _chosen else best_device()


def use_device(name: str) -> None:
    """Let this process compute on a device from now on.

    Args:
        name: as of `device_name`; auto takes the best one.

    Raises:
        InputError: if it is no name of a device, or this machine has no such device.
    """
    _chosen[:] = [] if device_name(name) == AUTO else [_existing(name)]


def device_of_machine(device: str | torch.device) -> torch.device:
    """Return a device that this machine has.

    Args:
        device: as of `device_name`, where auto is the best one; or as torch has it.

    Raises:
        InputError: as `use_device`.
    """
    # torch's own may be of a kind that no name stands for
    name = str(device) if isinstance(device, torch.device) else device_name(device)
    return best_device() if name == AUTO else _existing(name)


def lightning_device(device: torch.device) -> dict[str, Any]:
    """Return the options by which a Lightning trainer computes on a device."""
    if device.type == "cuda":
        return {"accelerator": "cuda", "devices": [device.index or 0]}
    # Lightning knows no other accelerators by torch's names
    return {"accelerator": device.type if device.type in ("cpu", "mps") else "auto", "devices": 1}


def use_threads(threads: int) -> None:
    """Let torch and tokenizers compute with so many threads in this process; 0 leaves their own choices."""
    if threads:
        torch.set_num_threads(threads)
        # tokenizers read it when they first encode many texts
        os.environ[TOKENIZER_THREADS] = str(threads)


@contextmanager
def process_kept() -> Iterator[None]:
    """Leave device, threads and global random states of this process as they were, whatever the body does.

    States of GPUs are kept where the process has used one before: a state asked for would begin to use them.
    """
    device, threads, tokenizers = _chosen[:], torch.get_num_threads(), os.environ.get(TOKENIZER_THREADS)
    of_python, of_numpy = random.getstate(), np.random.get_state()
    gpus = range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0)
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
        _chosen[:] = device
        torch.set_num_threads(threads)
        os.environ.pop(TOKENIZER_THREADS, None)
        if tokenizers is not None:
            os.environ[TOKENIZER_THREADS] = tokenizers


def _existing(name: str) -> torch.device:
    device, best = torch.device(name), best_device()
    count = torch.accelerator.device_count()
    if device.type == "cpu" or (device.type == best.type and (device.index or 0) < count):
        return device
    there = "no GPU" if best.type == "cpu" else f"{count} of the kind {best.type}"
    raise InputError(
        f"The device is '{name}', but this machine has {there} that torch can use. Set device to auto, which "
        "takes what there is."
    )
