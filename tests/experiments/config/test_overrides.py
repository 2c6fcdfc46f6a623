"""Dotted keys over a configuration file: read as YAML, checked, and given again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from experiments.config import load_config
from experiments.keys import as_arguments, parse_overrides
from spt.errors import InputError
from spt.tasks import get_task
from tests.support.config_files import config_file


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    path = config_file(tmp_path, "task: sst2\nsearch:\n  strategy: spt_darts\n  k: 3\n  epochs: 7\n")
    overrides = parse_overrides(
        ["search.k=4", "prompt.dropout=0.2", "task.metric=f1", "search.candidates=[0, 3, 4, 5]"]
    )
    config = load_config(path, overrides)
    assert (config.search.k, config.search.epochs, config.prompt.dropout) == (4, 7, 0.2)
    assert config.search.candidates == (0, 3, 4, 5)
    assert config.task == get_task("sst2", metric="f1")


def test_overrides_are_read_as_yaml() -> None:
    pairs = ["a=1", "b=1e-3", "c=1.0e-3", "d=[1, 2]", "e=null", "f=yes", "g=x=y", "h=", "i='1'"]
    assert parse_overrides(pairs) == {
        "a": 1,
        "b": "1e-3",
        "c": 0.001,
        "d": [1, 2],
        "e": None,
        "f": True,
        "g": "x=y",
        "h": None,
        "i": "1",
    }
    assert load_config(None, parse_overrides(["training.learning_rate=1e-3"])).training.learning_rate == 1e-3


def test_overrides_can_be_given_again() -> None:
    overrides = {"a": 1, "b": [1, 2], "c": {"name": "it's"}, "d": None, "e": 0.001, "f": "x=y z"}
    assert parse_overrides(shlex.split(as_arguments(overrides))) == overrides
    assert as_arguments({"search.k": 4}) == " search.k=4"
    assert as_arguments({}) == ""


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]+(\.[a-z_]+)*", fullmatch=True),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
            max_leaves=4,
        ),
        max_size=3,
    )
)
@example({"training.learning_rate": 1e-05})
def test_overrides_are_read_back_equal(overrides: dict[str, Any]) -> None:
    assert parse_overrides(shlex.split(as_arguments(overrides))) == overrides


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["search.k", "seed=1", "x"], "must read key=value, but got 'search.k', 'x'"),
        (["search.k=[1"], r"value of 'search\.k' is not YAML: \[1\. Put quotes"),
        (
            ["search.manual_layers={yes: scaling}"],
            r"value of 'search\.manual_layers' cannot be read: \{yes: scaling\} "
            r"\(line 1: the key yes is no text; put it in quotes\)$",
        ),
    ],
)
def test_a_wrong_override_is_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_overrides(pairs)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"search.layer": 4}, "search.layer: there is no such key. Did you mean 'k'"),
        ({"serch.layers": 4}, "serch: there is no such key. Did you mean 'search'"),
        ({"seed.x": 4}, "'seed.x' goes into 'seed', which is not a section"),
    ],
)
def test_an_override_of_an_unknown_key_is_refused(
    overrides: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        load_config(config_file(tmp_path, "seed: 2\n"), overrides)
    assert message in str(error.value)
