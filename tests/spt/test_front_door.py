"""`from spt import ...`: what users of the library get, each name loaded when it is asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import version

import pytest

import spt
from tests.support.loaded import loaded_by


def test_importing_the_library_loads_no_framework() -> None:
    assert loaded_by("import spt") == set()


def test_names_of_errors_and_layers_load_no_framework() -> None:
    code = "from spt import InputError, PromptLayers, __version__; PromptLayers.of([1], 3)"
    assert loaded_by(code) == set()


# the estimator is of the top floor
@pytest.mark.parametrize("name", sorted(set(spt.__all__) - {"__version__", "SPTClassifier"}))
def test_each_name_is_that_of_its_module(name: str) -> None:
    value = getattr(spt, name)
    assert getattr(importlib.import_module(value.__module__), name) is value
    assert value.__module__.startswith("spt.")


def test_the_version_is_that_of_the_package() -> None:
    assert spt.__version__ == version("spt-nas")


def test_every_name_can_be_listed_and_imported_with_a_star() -> None:
    assert set(spt.__all__) <= set(dir(spt))
    code = "from spt import *; print(sorted(name for name in dir() if not name.startswith('__')))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(sorted(set(spt.__all__) - {"__version__"}))


def test_another_name_is_refused_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'spt' has no attribute 'PromptTuner'"):
        _ = spt.PromptTuner
