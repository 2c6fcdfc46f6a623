"""YAML is read in one way: bounded, each key once, and no word that YAML takes for a number or a date."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spt.errors import InputError
from spt.storage import yaml_files
from spt.storage.yaml_files import parse_yaml, read_yaml

REFUSED = {
    "a: 1\nb: 2\na: 3\n": "line 3: the key 'a' is there twice, first in line 1; keep one",
    "a: {b: 1, 'b': 2}": "line 1: the key 'b' is there twice",
    "labels: [01, 2]": "01 is a number in YAML; put it in quotes",
    "time: 1:30": "1:30 is a number in YAML",
    "x: 1:30.5": "1:30.5 is a number in YAML",
    "x: 0x1F": "0x1F is a number",
    "x: 0b11": "0b11 is a number",
    "x: 1_000": "1_000 is a number",
    "seed: 2024-01-02": "2024-01-02 is a date in YAML; put it in quotes",
    "seed: 2024-13-45": "2024-13-45 is a date",
    "no: 1": "the key no is no text; put it in quotes",
    "~: 1": "the key ~ is no text",
    "1.0: 1": "the key 1.0 is no text",
    "01: 1": "the key 01 is no text",
    "+1: 1": "the key .1 is no text",
    "{1: a, '1': b}": "the key '1' is there twice, first in line 1; keep one",
    "1: a\n1: b": "line 2: the key '1' is there twice",
    "? [a]\n: 1": "the key is no text",
    "seed: " + "9" * 5000: "a number has 5,000 digits, but may have 400",
    'seed: !!int ""': "not of the kind that its tag says, as !!int; remove the tag",
    "a: !!float 'x'": "not of the kind that its tag says",
    "a: !!bool maybe": "not of the kind that its tag says",
    "a: !!set {b}": "the tag tag:yaml.org,2002:set is not read",
    "a: !!binary aGk=": "the tag tag:yaml.org,2002:binary of 'aGk='",
    "!!python/object/apply:os.getcwd []": "the tag .*os.getcwd is not read",
    "a: " + "[" * 20_000: "nested deeper than 32 levels",
    "a: " + "[" * 40 + "]" * 40: "nested deeper than 32 levels",
    "a: &a [*a]": "line 1: a value holds itself",
    "a: &a {<<: *a}": "a value holds itself",
    "a: [1": "expected",
    "a: \x00": "not allowed",
    "--- a\n--- b": "expected a single document",
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_may_be_meant_otherwise_is_refused_by_its_line(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        parse_yaml(text)
    path = tmp_path / "a.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"(?s)The study '.*a\.yml' cannot be read: .*{reason}"):
        read_yaml(path, "study")


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as error:
        parse_yaml("a: 017\nb: [1:30, {c: 1, c: 2}]\n")
    assert [line.split(":")[0] for line in str(error.value).split("\n  ")[1:]] == [
        "line 1",
        "line 2",
        "line 2",
    ]


def test_a_reference_is_read_and_a_bomb_of_them_refused() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, x: 2}\n") == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": {"x": 2},
    }
    bomb = "a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 30))
    with pytest.raises(InputError, match="more than 200,000 values"):
        parse_yaml(bomb)
    merges = "a0: &a0 {x: 1}\n" + "".join(
        f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 25)
    )
    with pytest.raises(InputError, match="more than 200,000 values"):
        parse_yaml(merges)


def test_plain_words_stay_what_they_are() -> None:
    text = (
        "{a: 0, b: -5, c: 1.0e-3, d: .5, e: .inf, f: 1e-3, g: ~, h: '01', i: \"2024-01-02\", j: yes, k: x:y}"
    )
    assert parse_yaml(text) == {
        **{"a": 0, "b": -5, "c": 0.001, "d": 0.5, "e": float("inf"), "f": "1e-3", "g": None},
        **{"h": "01", "i": "2024-01-02", "j": True, "k": "x:y"},
    }
    assert parse_yaml("") is None


def test_a_whole_number_as_a_key_is_its_text() -> None:
    layers = {"1": "scaling", "10": "free", "-2": "b", "0": "c"}
    text = "{a: &one 1, b: &layers {*one : scaling, 10: free, -2: b, 0: c}, again: {<<: *layers, 10: d}}"
    assert parse_yaml(text) == {"a": 1, "b": layers, "again": {**layers, "10": "d"}}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(values)
def test_what_yaml_writes_is_read_back(value: object) -> None:
    assert parse_yaml(yaml.safe_dump(value)) == value


def test_large_files_folders_and_bytes_that_are_no_utf_8_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yml"
    path.write_bytes(b"a: \xff")
    with pytest.raises(InputError, match="it is not UTF-8"):
        read_yaml(path, "config")
    with pytest.raises(InputError, match="Is a directory"):
        read_yaml(tmp_path, "config")
    monkeypatch.setattr(yaml_files, "MAX_BYTES", 3)
    with pytest.raises(InputError, match="it has more than 3 bytes"):
        read_yaml(path, "config")
