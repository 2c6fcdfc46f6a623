"""Two prompts over one tiny backbone, loaded once for the tests of a file."""

from pathlib import Path

import pytest

from experiments.serving.engine import Engine
from tests.support.serving import make_engine, make_shelf


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shelf(tmp_path_factory.mktemp("serving"))


@pytest.fixture(scope="module")
def engine(shelf: Path) -> Engine:
    return make_engine(shelf)
