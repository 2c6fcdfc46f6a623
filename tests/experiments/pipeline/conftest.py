"""What the runs of a file share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.runs import tiny_config


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the tiny backbone and data of all runs."""
    folder = tmp_path_factory.mktemp("home")
    tiny_config(folder)
    return folder
