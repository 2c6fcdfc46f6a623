"""Which versions and which kind of machine a result was made with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

PACKAGES = (
    "spt-nas",
    "torch",
    "transformers",
    "nni",
    "optuna",
    "pytorch-lightning",
    "datasets",
    "ray",
    "peft",
)


def versions() -> dict[str, str]:
    """Installed versions of what shapes a result; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int]:
    """The kind of machine, without its name."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    cores, threads = os.cpu_count() or 1, torch.get_num_threads()
    return {"processor": platform.machine(), "cores": cores, "threads": threads, "gpu": gpu}
