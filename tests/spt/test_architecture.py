"""PromptLayers: sorted, checked, hashable, and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spt.architecture import PromptLayers
from spt.errors import InputError


@given(st.sets(st.integers(0, 11)), st.randoms())
def test_any_order_gives_the_same_layers(layers: set[int], random: object) -> None:
    shuffled = list(layers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    made = PromptLayers.of(shuffled, 12)
    assert made.layers == tuple(sorted(layers))
    assert len({made, PromptLayers.of(sorted(layers), 12)}) == 1


def test_layers_and_total_both_count() -> None:
    assert len({PromptLayers.of([1], 4), PromptLayers.of([2], 4), PromptLayers.of([1], 5)}) == 3


def test_saving_and_loading_gives_the_same_back(tmp_path: Path) -> None:
    made = PromptLayers.of([3, 1], 6)
    made.save(tmp_path / "architecture.json")
    assert json.loads((tmp_path / "architecture.json").read_text(encoding="utf-8")) == {
        "layers": [1, 3],
        "total": 6,
    }
    assert PromptLayers.load(tmp_path / "architecture.json") == made


def test_reads_as_people_say_it() -> None:
    assert str(PromptLayers.of([3, 1], 6)) == "[1, 3] of 6"


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([1, 6, 9], r"^Prompt layers: layers \[6, 9\] are not among 0 to 5, .* from 0 to 5\.$"),
        ([-1], r"layers \[-1\] are not among 0 to 5"),
        ([2, 2], r"^Prompt layers: layers \[2, 2\] name a layer twice\. Name each layer once"),
        (["x"], "valid integer"),
    ],
)
def test_wrong_layers_are_refused(layers: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PromptLayers.of(layers, 6)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"^Prompt layers: 'fre' is no kind .* as generated_20\. Name each"):
        PromptLayers.of({1: "fre"}, 6)


def test_it_cannot_be_changed() -> None:
    made = PromptLayers.of([1], 4)
    with pytest.raises(ValidationError, match="frozen"):
        made.total = 5  # type: ignore[misc]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"layers": [1]}', '{"layers": [7], "total": 4}'])
def test_a_damaged_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "architecture.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"architecture\.json' is (not what|damaged).*searches again"):
        PromptLayers.load(path)


@given(st.integers(1, 32), st.integers(1, 48), st.data())
def test_scaled_layers_stay_apart_in_order_and_inside(total: int, target: int, data: st.DataObject) -> None:
    layers = data.draw(st.sets(st.integers(0, total - 1), max_size=min(total, target)))
    made = PromptLayers.of(layers, total)
    scaled = made.scaled(target)
    assert (len(scaled.layers), scaled.total) == (len(layers), target)
    assert made.scaled(total) == made
    # a layer moves further than rounding only to make room
    if target >= total:
        for before, after in zip(made.layers, scaled.layers, strict=True):
            assert abs((after + 0.5) / target - (before + 0.5) / total) <= 0.5 / target + 1e-9


@given(st.integers(1, 16), st.integers(1, 4), st.data())
def test_scaling_to_a_multiple_and_back_changes_nothing(total: int, times: int, data: st.DataObject) -> None:
    made = PromptLayers.of(data.draw(st.sets(st.integers(0, total - 1))), total)
    assert made.scaled(times * total).scaled(total) == made


@pytest.mark.parametrize(
    ("layers", "total", "target", "expected"),
    [
        ([0, 2, 5], 6, 12, (0, 4, 10)),
        ([1, 4], 6, 3, (0, 2)),
        ([2, 3], 6, 3, (1, 2)),
        ([0, 1, 2], 12, 4, (0, 1, 2)),
        ([9, 10, 11], 12, 4, (1, 2, 3)),
        ([1, 3], 4, 6, (2, 5)),
    ],
)
def test_layers_go_to_the_same_relative_depth(
    layers: list[int], total: int, target: int, expected: tuple[int, ...]
) -> None:
    assert PromptLayers.of(layers, total).scaled(target).layers == expected


def test_more_layers_than_the_backbone_has_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[0, 1, 2\] of 6 cannot be given to a backbone of 2 layers"):
        PromptLayers.of([0, 1, 2], 6).scaled(2)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json' cannot be read: No such file"):
        PromptLayers.load(tmp_path / "none.json")


@pytest.mark.parametrize("kinds", [["free"], ["free", "free", "free"]], ids=len)
def test_kinds_of_another_number_than_the_layers_are_refused(kinds: list[str]) -> None:
    with pytest.raises(InputError, match=f"there are 2 layers, but kinds of {len(kinds)}"):
        PromptLayers.of([1, 3], 6, kinds)
