"""JSON of this project is checked and bounded, and errors name the file; torn last lines are dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from spt.architecture import PromptLayers
from spt.errors import InputError
from spt.storage import json_files
from spt.storage.json_files import checked, read_json, read_json_lines

DAMAGE = {
    "": "Expecting value",
    '{"a": 1': "Expecting",
    "[1]": "it holds no JSON object but list",
    "null": "it holds no JSON object but NoneType",
    '{"a": ' + "9" * 5000 + "}": "Exceeds the limit",
    '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}": "it is nested too deep",
    '{"a": ' + "[" * 40 + "]" * 40 + "}": "it is nested deeper than 32 levels",
}


@pytest.mark.parametrize(("text", "reason"), DAMAGE.items(), ids=range(len(DAMAGE)))
def test_damage_is_refused_by_the_files_name_and_what_to_do(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"a\.json' is damaged: {reason}.* Delete it\."):
        read_json(path, "Delete it.")
    path.write_text('{"x": 1}\n' + text + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"Line 2 of '.*a\.json' is damaged: {reason}.* Delete it\."):
        read_json_lines(path, "Delete it.")


def test_bytes_that_are_no_utf_8_folders_and_large_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InputError, match=r"a\.json' is damaged: .*utf-8"):
        read_json(path, "Delete it.")
    with pytest.raises(InputError, match=r"cannot be read: Is a directory\. Delete it"):
        read_json(tmp_path, "Delete it.")
    with pytest.raises(InputError, match=r"cannot be read: it is a device or a pipe\. Delete it"):
        read_json(Path("/dev/zero"), "Delete it.")
    monkeypatch.setattr(json_files, "MAX_BYTES", 3)
    with pytest.raises(InputError, match=r"a\.json' cannot be read: it has 10 bytes, but at most 3 are read"):
        read_json(path, "Delete it.")


@pytest.mark.parametrize("torn", [b'{"a": 2', b'{"a": "\xc3', b"\x00\x00", b""])
def test_a_last_line_that_was_cut_off_is_dropped(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' + torn)
    assert read_json_lines(path, "Delete it.") == [{"a": 1}]
    assert read_json_lines(tmp_path / "none.jsonl", "Delete it.") == []


def test_content_of_other_keys_or_types_names_them() -> None:
    with pytest.raises(InputError, match=r"'a' is not what .* writes \(total: .*integer.*\)\. Delete it\."):
        checked(PromptLayers, {"layers": [1], "total": "4"}, "'a'", "Delete it.")
    with pytest.raises(InputError, match=r"'a' is not what .* writes \(: layers \[5\] are not among"):
        checked(PromptLayers, {"layers": [5], "total": 4}, "'a'", "Delete it.")
