"""An estimator over the tiny backbone, fitted once for the tests of a file."""

from pathlib import Path

import pytest

from spt import SPTClassifier
from tests.support.estimators import tiny_estimator, tiny_texts


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("estimator")


@pytest.fixture(scope="module")
def data(home: Path) -> tuple[list[str], list[str]]:
    return tiny_texts(home)


@pytest.fixture(scope="module")
def fitted(home: Path, data: tuple[list[str], list[str]]) -> SPTClassifier:
    return tiny_estimator(home).fit(*data)
