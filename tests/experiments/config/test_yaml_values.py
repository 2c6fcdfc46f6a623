"""What YAML makes of a value: words that are numbers or truths to it, and numbers that no machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.config import checked, load_config
from experiments.keys import parse_overrides
from spt.errors import InputError
from tests.support.config_files import config_file


def test_off_is_not_false(tmp_path: Path) -> None:
    assert load_config(config_file(tmp_path, "cache: off\n")).cache == "off"
    assert load_config(None, parse_overrides(["cache=off"])).cache == "off"
    with pytest.raises(InputError, match="cache"):
        load_config(None, {"cache": True})


def test_32_is_a_precision_with_and_without_quotes(tmp_path: Path) -> None:
    for value in ("32", "'32'"):
        text = f"training: {{precision: {value}}}"
        assert load_config(config_file(tmp_path, text)).training.precision == "32"
        assert load_config(None, parse_overrides([f"training.precision={value}"])).training.precision == "32"
    assert load_config(None, {"training": {"precision": 32}}).training.precision == "32"
    with pytest.raises(
        InputError, match=r"training\.precision: Input should be '32' or 'bf16' \(given: 32\.0\)"
    ):
        load_config(None, {"training.precision": 32.0})


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    k=st.integers(1, 24),
    seed=st.integers(0, 10**9),
    rate=st.floats(1e-9, 10),
    candidates=st.none() | st.lists(st.integers(0, 24), max_size=4),
    dropout=st.floats(0, 0.99),
)
def test_any_config_survives_yaml(
    k: int, seed: int, rate: float, candidates: list[int] | None, dropout: float
) -> None:
    tree = {
        "seed": seed,
        "search": {"strategy": "darts", "k": k, "candidates": candidates, "gate_learning_rate": rate},
        "prompt": {"dropout": dropout},
    }
    config = checked(tree, "x")
    assert checked(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json"))), "x") == config
    assert config.search.gate_learning_rate == rate


@pytest.mark.parametrize("value", ["2024-13-45", "9" * 5000, '!!int ""', "[" * 20_000])
def test_what_yaml_cannot_make_a_value_of_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(f"seed: {value}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.yml' cannot be read"):
        load_config(path)
    with pytest.raises(InputError, match=r"The value of 'seed' cannot be read: "):
        parse_overrides([f"seed={value}"])


@pytest.mark.parametrize(
    "override",
    [{"seed": 10**14}, {"threads": 10**20}, {"cache_gb": float("inf")}, {"training.batch_size": 10**20}],
    ids=str,
)
def test_numbers_that_no_machine_has_are_refused(override: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="less than or equal to"):
        load_config(None, override)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: {name: custom, labels: [no, yes]}", r"task\.labels: .*put it in quotes .given: .False, True"),
        ("task: {name: custom, labels: [1, 2]}", r"task\.labels\.0: .*given: 1.; put it in quotes"),
        ("training: {epochs: true}", r"training\.epochs: true and false are no number"),
        ("name: run\nseed: 1\nname: b", "line 3: the key 'name' is there twice, first in line 1"),
        ("task: {name: custom, text: on}", r"task\.text: .*put it in quotes"),
    ],
)
def test_words_that_yaml_takes_for_something_else_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=rf"(?s){said}") as caught:
        load_config(config_file(tmp_path, text))
    # a default that was to follow from the wrong value is no problem of its own
    assert "default" not in str(caught.value).lower()


def test_labels_in_quotes_are_labels(tmp_path: Path) -> None:
    config = load_config(config_file(tmp_path, "task: {name: custom, labels: ['no', 'yes']}"))
    assert config.task.labels == ("no", "yes")


def test_layers_and_classes_are_keys_by_their_numbers(tmp_path: Path) -> None:
    text = "search: {strategy: manual, manual_layers: {8: generated_offset_5, '9': scaling}}\n"
    kinds = {8: "generated_offset_5", 9: "scaling"}
    assert load_config(config_file(tmp_path, text)).search.manual_layers == kinds
    pairs = ["search.strategy=manual", "search.manual_layers={8: generated_offset_5, 9: scaling}"]
    assert load_config(None, parse_overrides(pairs)).search.manual_layers == kinds
    weights = load_config(None, parse_overrides(["training.class_weights={1: 2}"])).training.class_weights
    assert weights == {"1": 2.0}
    with pytest.raises(InputError, match="the key '1' is there twice"):
        load_config(
            config_file(tmp_path, "search: {strategy: manual, manual_layers: {1: scaling, '1': free}}")
        )
