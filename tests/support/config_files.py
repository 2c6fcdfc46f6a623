"""Configuration files as texts, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.config import checked
from spt.errors import InputError


def config_file(folder: Path, text: str) -> Path:
    """Write the configuration of a run."""
    path = folder / "run.yml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(tree: dict[str, Any]) -> list[str]:
    """Return the lines of the error that a configuration gets."""
    with pytest.raises(InputError) as error:
        checked(tree, "run.yml")
    return str(error.value).splitlines()
