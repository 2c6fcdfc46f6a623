"""Layers by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces.named_layers import named_layers
from spt.architecture import PromptLayers
from spt.errors import InputError


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("input", (0,)),
        ("all", (0, 1, 2, 3, 4)),
        ("middle", (2,)),
        ("every_2", (0, 2, 4)),
        ("every_3", (0, 3)),
        ("every_10", (0,)),
        ([3, 1], (1, 3)),
        ((), ()),
    ],
    ids=str,
)
def test_names_and_numbers(name: str | list[int], layers: tuple[int, ...]) -> None:
    assert named_layers(name, 5).layers == layers


@pytest.mark.parametrize("name", ["inputs", "every_0", "every_", "every_-1", "2", ""])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"'{name}' names no layers: .*input, all, middle, every_2"):
        named_layers(name, 5)


def test_a_layer_that_the_backbone_lacks_is_refused() -> None:
    with pytest.raises(InputError, match="0 to 4"):
        named_layers([5], 5)


def test_layers_of_another_run_go_to_the_same_relative_depths(tmp_path: Path) -> None:
    path = tmp_path / "architecture.json"
    PromptLayers.of({2: "free", 4: "generated"}, 6).save(path)
    scaled = named_layers(str(path), 12)
    assert scaled.total == 12
    assert list(scaled.by_layer.values()) == ["free", "generated"]
    assert scaled == PromptLayers.load(path).scaled(12) != PromptLayers.of({2: "free", 4: "generated"}, 12)
