"""Whole runs over the tiny backbone and data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.config import RunConfig, checked
from tests.support.tiny import tiny_tree


def tiny_config(folder: Path, **sections: Any) -> RunConfig:
    """Check the keys of `tiny_tree`."""
    return checked(tiny_tree(folder, **sections), "the test")
