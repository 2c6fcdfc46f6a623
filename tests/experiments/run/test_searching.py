"""What a run refuses to search, before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from spt.errors import InputError
from tests.support.runs import tiny_config


@pytest.mark.parametrize(
    "search",
    [
        {"strategy": "gradient"},
        {"strategy": "gradient", "candidates_by": "probe:3"},
        {"strategy": "random", "candidates_by": "gradient:3"},
    ],
    ids=str,
)
def test_a_layer_without_a_prompt_has_no_gradient_of_it(search: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="generator is scaling, which gives it none; score by probe"):
        tiny_config(tmp_path, search=search, prompt={"generator": "scaling"})
