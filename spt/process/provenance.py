"""What a result was made with: command, date, versions, and the kind of machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from typing import Any

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


@dataclass(frozen=True)
class Provenance:
    """Hold what a result was made with; in a JSON file, its four keys stand beside those of the result.

    Attributes:
        command: that a user types to make the result again; None where a config.yml beside it says all.
        date: in ISO form; None in results of versions that did not note it.
        versions: package -> installed version.
        machine: processor, cores, threads and GPU.
    """

    command: str | None
    date: str | None
    versions: Mapping[str, str]
    machine: Mapping[str, str | int]

    @classmethod
    def now(cls, command: str | None = None) -> Provenance:
        """Note today's date, and the versions and the machine of this process."""
        return cls(command, date.today().isoformat(), versions(), machine())

    def as_json(self) -> dict[str, Any]:
        """Return the four keys as JSON has them."""
        return asdict(self)


# the keys that stand beside those of a result
PROVENANCE = tuple(field.name for field in fields(Provenance))


def versions() -> dict[str, str]:
    """Return the installed versions of what shapes a result; packages that are not installed are left out."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def machine() -> dict[str, str | int]:
    """Describe the machine without its name."""
    # takes seconds to load, for which reading a result need not wait
    import torch  # noqa: PLC0415

    return {
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
        "threads": torch_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def torch_threads() -> int:
    """Return with how many threads torch computes in this process."""
    import torch  # noqa: PLC0415

    return torch.get_num_threads()
