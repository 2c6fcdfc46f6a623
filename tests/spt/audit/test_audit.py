"""An audit finds what is wrong with folders of prompts and backbones, and nothing in good ones."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from spt.audit import report
from spt.audit.folder import MAX_FILES, MAX_LEVELS
from spt.audit.json_content import MAX_BYTES
from spt.audit.report import MOST_PROBLEMS, Audit, audit
from spt.errors import InputError
from spt.saved_folders import FORMATS
from spt.storage.digests import file_digest
from spt.storage.tensor_header import MAX_HEADER, bounded_product, read_header
from tests.support.classifiers import classifier
from tests.support.tiny import make_backbone

GOLDEN = Path(__file__).parents[2] / "golden"
PROMPT_FILES = ["prompt.json", "prompt.safetensors"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("saved")
    classifier(home, (1, 2)).save_pretrained(home / "prompt")
    make_backbone(home / "model")
    return home


@pytest.fixture
def prompt(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved / "prompt", tmp_path / "prompt")


@pytest.fixture
def backbone(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved / "model", tmp_path / "model")


def edited(path: Path, edit: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def only_problem(result: Audit) -> str:
    assert len(result.problems) == 1, result.problems
    return result.problems[0]


def test_a_good_prompt_has_no_problem_and_is_read_whole(prompt: Path) -> None:
    result = audit(prompt)
    assert (result.content, result.problems, result.read) == ("saved prompt", [], PROMPT_FILES)
    assert [file.size for file in result.files if file.name in PROMPT_FILES] == [
        (prompt / name).stat().st_size for name in PROMPT_FILES
    ]
    (note,) = result.notes
    assert "audit it too" in note


def test_the_tensors_are_those_that_safetensors_reads(prompt: Path) -> None:
    read = load_file(prompt / "prompt.safetensors")
    tensors = audit(prompt).tensors["prompt.safetensors"]
    assert {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors} == {
        name: ("F32", tuple(value.shape)) for name, value in read.items()
    }
    assert sum(tensor.numbers for tensor in tensors) == sum(value.numel() for value in read.values())


def test_a_good_backbone_has_no_problem(backbone: Path) -> None:
    result = audit(backbone)
    assert (result.content, result.problems) == ("backbone", [])
    assert set(result.read) >= {"config.json", "model.safetensors", "tokenizer.json"}


def test_weights_in_parts_are_read_by_their_index(backbone: Path) -> None:
    weights = backbone / "model.safetensors"
    names = [tensor.name for tensor in audit(backbone).tensors[weights.name]]
    weights.rename(backbone / "model-00001-of-00001.safetensors")
    index = {"weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors")}
    (backbone / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    result = audit(backbone)
    assert result.problems == [] and "model-00001-of-00001.safetensors" in result.read
    index["weight_map"][names[0]] = "../model.safetensors"
    (backbone / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert "../model.safetensors is missing" in only_problem(audit(backbone))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.dat", "notes.txt"])
@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_is_found_whatever_its_name(backbone: Path, name: str, write: Callable[..., Any]) -> None:
    write({"weight": 1}, backbone / name)
    assert only_problem(audit(backbone)).startswith(f"{name} is a pickle")


def test_pickled_weights_alone_are_no_weights(backbone: Path) -> None:
    (backbone / "model.safetensors").unlink()
    (backbone / "pytorch_model.bin").write_bytes(b"(dp0\n.")
    problems = audit(backbone).problems
    assert "model.safetensors is missing" in problems
    assert any(problem.startswith("pytorch_model.bin is a pickle") for problem in problems)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_auto_map_is_found(backbone: Path, name: str) -> None:
    edited(backbone / name, lambda config: config.update(auto_map={"AutoModel": "evil.Model"}))
    assert only_problem(audit(backbone)) == f"{name} names code of its own in auto_map"


@pytest.mark.parametrize(
    ("name", "content"), [("modeling.py", b"import os\n"), ("data", b"\x7fELF\x02"), ("run", b"#!/bin/sh\n")]
)
def test_code_is_found_by_name_and_by_content(backbone: Path, name: str, content: bytes) -> None:
    (backbone / name).write_bytes(content)
    assert only_problem(audit(backbone)) == f"{name} is code"


def test_a_link_that_leads_outside_is_not_followed(backbone: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    (backbone / "README.md").symlink_to(secret)
    (backbone / "more").symlink_to(tmp_path, target_is_directory=True)
    (backbone / "gone").symlink_to(backbone / "nothing")
    (backbone / "again.json").symlink_to("config.json")
    problems = audit(backbone).problems
    assert [problem.split(",")[0] for problem in problems] == [
        "README.md is a link that leads outside of the folder",
        "gone is a link that leads nowhere",
        "more is a link that leads outside of the folder",
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_told_and_not_waited_for(prompt: Path) -> None:
    os.mkfifo(prompt / "prompt.pipe")
    assert "neither a file nor a folder" in only_problem(audit(prompt))


@pytest.mark.parametrize("kind", ["prompt", "backbone"])
def test_refused_weights_are_told_once_and_not_compared(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    (weights,) = folder.glob("*.safetensors")
    weights.unlink()
    weights.symlink_to("/dev/zero")
    assert f"{weights.name} is a link that leads outside" in only_problem(audit(folder))


def test_of_many_like_problems_the_first_are_told(backbone: Path) -> None:
    many = [{"auto_map": 1}] * 100 + [{"tokenizer_class": f"a b {number}"} for number in range(100)]
    edited(backbone / "tokenizer_config.json", lambda config: config.update(many=many))
    problems = audit(backbone).problems
    assert len(problems) == MOST_PROBLEMS and len(set(problems)) == MOST_PROBLEMS


@pytest.mark.parametrize("value", [10**12, -1, 0, 2.5, "many", True])
@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_sizes_of_a_backbone_out_of_bounds_are_found(backbone: Path, key: str, value: object) -> None:
    edited(backbone / "config.json", lambda config: config.update({key: value}))
    assert f"has {key} {value!r}" in only_problem(audit(backbone))


@pytest.mark.parametrize(("key", "value"), [("vocab_size", 10**6), ("num_hidden_layers", 900)])
def test_sizes_that_the_weights_cannot_have_are_found(backbone: Path, key: str, value: int) -> None:
    edited(backbone / "config.json", lambda config: config.update({key: value}))
    assert "but the weights are" in only_problem(audit(backbone))


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("architecture", "total"), 10**6, "total: Input should be less than or equal to 1000"),
        (("architecture", "layers"), [99], "layers [99] are not among"),
        (("spec", "max_length"), -5, "max_length: Input should be greater than or equal to 1"),
        (
            ("spec", "prompt", "bottleneck"),
            10**9,
            "prompt.bottleneck: Input should be less than",
        ),
        (("spec", "prompt", "bottleneck"), 6 * 10**4, "but the weights are"),
        (("spec", "prompt", "length"), 10**9, "prompt.length"),
        (("format",), FORMATS[-1] + 1, f"has format {FORMATS[-1] + 1}"),
        (("format",), True, "has format True"),
        (("spec", "surprise"), 1, "surprise"),
        (("spec",), None, "is damaged"),
        (("architecture",), [], "is damaged"),
    ],
)
def test_a_prompt_that_cannot_be_is_found(
    prompt: Path, keys: tuple[str, ...], value: object, said: str
) -> None:
    def edit(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    edited(prompt / "prompt.json", edit)
    assert said in only_problem(audit(prompt))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested deeper"),
        ('{"a":' * 100 + "1" + "}" * 100, "nested deeper"),
        ("9" * 10_000, "is not JSON"),
        ('{"format": 1, "format": 1}', "has the key 'format' twice"),
        ('{"format": NaN}', "NaN"),
        ("null", "is not of a saved prompt"),
        ("[]", "is not of a saved prompt"),
        ("", "is not JSON"),
    ],
)
def test_json_that_is_none_is_refused(prompt: Path, text: str, said: str) -> None:
    (prompt / "prompt.json").write_text(text, encoding="utf-8")
    assert said in only_problem(audit(prompt))


def test_huge_json_is_not_read(prompt: Path) -> None:
    with (prompt / "more.json").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert "are read of such a file" in only_problem(audit(prompt))


def test_a_changed_number_is_found_by_its_digest(prompt: Path) -> None:
    path = prompt / "prompt.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "has SHA-256" in only_problem(audit(prompt))


def test_a_format_with_digests_must_have_them(prompt: Path) -> None:
    edited(prompt / "prompt.json", lambda content: content.pop("tensors"))
    assert "but prompt.json says None" in only_problem(audit(prompt))


@pytest.mark.parametrize("number", FORMATS)
def test_every_format_that_is_read_is_known(number: int) -> None:
    assert audit(GOLDEN / f"format_{number}").problems == []


@pytest.mark.parametrize("kept", [0, 4, 20, -1])
def test_a_cut_tensor_file_is_found(prompt: Path, kept: int) -> None:
    path = prompt / "prompt.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    problem = audit(prompt).problems[0]
    assert problem.startswith("prompt.safetensors "), problem
    assert ("bytes of tensors" if kept < 0 else "ends inside its header") in problem


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        ("[" * 100_000, 0, "RecursionError"),
        ("not json", 0, "does not describe tensors"),
        ("[]", 0, "does not describe tensors"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, 4, "does not describe tensors"),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, 4, "does not describe tensors"),
        ({"a": {"dtype": "PY", "shape": [1], "data_offsets": [0, 4]}}, 4, "does not describe tensors"),
        (
            {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"},
            4,
            "overlap or leave bytes",
        ),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, 9, "9 bytes of tensors"),
        # which of the two is read would depend on the reader
        (
            '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, '
            '"a": {"dtype": "I32", "shape": [1], "data_offsets": [0, 4]}}',
            4,
            "has the key 'a' twice",
        ),
    ],
)
def test_a_header_that_lies_is_found(prompt: Path, header: object, data: int, said: str) -> None:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path = prompt / "more.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))
    assert said in only_problem(audit(prompt))


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2] * 70 + [0], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [2**63, 2, 0], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [0, 2**64], "data_offsets": [0, 0]},
        {"dtype": "F64", "shape": [2**63], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [0, 2**63, 2**63], "data_offsets": [0, 0]},
        {"dtype": "F8_E4M3FNUZ", "shape": [4], "data_offsets": [0, 4]},
        {"dtype": "F4", "shape": [3], "data_offsets": [0, 1]},
        {"dtype": "F32", "shape": [1] * 1000, "data_offsets": [0, 4]},
    ],
)
def test_sizes_are_refused_where_safetensors_refuses_them(entry: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps({"a": entry}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(entry["data_offsets"][1]))
    try:
        with safe_open(path, "np") as file:
            expected = list(file.keys())
    except SafetensorError:
        with pytest.raises(InputError, match="does not describe tensors"):
            read_header(path)
    else:
        assert [tensor.name for tensor in read_header(path)] == expected


def test_a_product_ends_where_it_is_too_large_so_that_many_dimensions_take_no_squares() -> None:
    factors = iter([2] * 10_000)
    with pytest.raises(ValueError, match="more numbers than there can be"):
        bounded_product(factors)
    assert len(list(factors)) == 10_000 - 64


def test_a_header_is_read_up_to_a_size_that_takes_little_memory(prompt: Path) -> None:
    assert MAX_HEADER == 10_000_000
    with (prompt / "more.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", MAX_HEADER + 1))
        file.truncate(MAX_HEADER + 100)
    assert f"a header of {MAX_HEADER + 1:,} bytes, but at most {MAX_HEADER:,} are" in only_problem(
        audit(prompt)
    )


def message(number: int, content: bytes) -> bytes:
    """Return a field of protobuf that holds a message or text of fewer than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def graph_bytes(*locations: str) -> bytes:
    """Return a model of ONNX whose tensors lie in files."""
    entries = [message(1, b"location") + message(2, location.encode()) for location in locations]
    tensors = b"".join(message(5, message(13, entry)) for entry in entries)
    # its version, and its graph
    return b"\x08\x0a" + message(7, tensors)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export of a graph without tensors."""
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "model.onnx").write_bytes(graph_bytes())
    files = {name: file_digest(folder / name) for name in ("model.onnx", "tokenizer.json")}
    content = {"graphs": ["model.onnx"], "files": files}
    (folder / "export.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_good_export_has_no_problem(export: Path) -> None:
    result = audit(export)
    assert (result.content, result.problems) == ("export", [])
    assert result.read == ["export.json", "tokenizer.json", "model.onnx"]


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/etc/passwd", "has weights outside of the folder, in '/etc/passwd'"),
        ("../other/weights", "has weights outside of the folder, in '../other/weights'"),
        ("in/../../weights", "outside of the folder"),
        ("..\\weights", "outside of the folder"),
        ("C:weights", "outside of the folder"),
        ("weights", "has weights in 'weights', of which export.json has no digest"),
    ],
)
def test_weights_of_a_graph_lie_in_files_that_the_export_has_digests_of(
    location: str, said: str, export: Path
) -> None:
    def rewrite(*locations: str) -> None:
        (export / "model.onnx").write_bytes(graph_bytes(*locations))
        digest = file_digest(export / "model.onnx")
        edited(export / "export.json", lambda content: content["files"].update({"model.onnx": digest}))

    rewrite("./tokenizer.json")
    assert audit(export).problems == []
    rewrite("tokenizer.json", location)
    problem = only_problem(audit(export))
    assert problem.startswith("model.onnx ") and said in problem


def test_a_graph_that_is_none_is_told(export: Path) -> None:
    (export / "model.onnx").write_text("{}", encoding="utf-8")
    problem, digest = audit(export).problems
    assert problem == "model.onnx is no graph of ONNX: byte 0 begins no field"
    assert "SHA-256" in digest


def _pipe(path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs pipes")
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (_pipe, "is neither a file nor a folder, and is not read"),
        (lambda path: path.symlink_to("/dev/zero"), "is a link that leads outside of the folder"),
        (lambda path: path.symlink_to("nothing"), "is a link that leads nowhere"),
        (lambda path: path.symlink_to(path.name), "is a link that leads nowhere"),
        (lambda path: path.write_bytes(pickle.dumps(1)), "is a pickle"),
    ],
)
@pytest.mark.parametrize("name", ["model.onnx", "export.json"])
def test_a_refused_file_of_an_export_is_told_once_and_not_opened_again(
    name: str, put: Callable[[Path], object], said: str, export: Path
) -> None:
    (export / name).unlink()
    put(export / name)
    problem = only_problem(audit(export))
    assert problem.startswith(f"{name} ") and said in problem


def test_a_file_that_cannot_be_read_to_its_end_is_told(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(report, "file_digest", fail)
    problems = audit(export).problems
    assert problems == [
        f"{name} cannot be read: {os.strerror(errno.EIO)}" for name in ("model.onnx", "tokenizer.json")
    ]


@pytest.mark.parametrize(
    "edit",
    [
        {"graphs": [["x"]]},
        {"graphs": [{}]},
        {"graphs": [None]},
        {"graphs": ["other.onnx"]},
        {"graphs": "model.onnx"},
        {"graphs": []},
        {"files": {"model.onnx": "0"}},
        {"files": ["model.onnx"]},
        {"files": None},
    ],
)
def test_an_export_that_names_no_files_is_told(edit: dict[str, Any], export: Path) -> None:
    edited(export / "export.json", lambda content: content.update(edit))
    assert only_problem(audit(export)) == "export.json does not say which graphs and files there are"


@pytest.mark.parametrize("name", PROMPT_FILES[1:])
def test_a_missing_file_is_told(prompt: Path, name: str) -> None:
    (prompt / name).unlink()
    assert f"{name} is missing" in audit(prompt).problems


def test_a_folder_of_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    result = audit(tmp_path)
    assert result.content == "neither" and "holds neither" in only_problem(result)


def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    tmp_path.joinpath(*["a"] * (MAX_LEVELS + 1)).mkdir(parents=True)
    with pytest.raises(InputError, match="holds folders in more than 32 levels"):
        audit(tmp_path)


def test_too_many_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spt.audit.folder.MAX_FILES", 2)
    for name in "abc":
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="more than 2 folders"):
        audit(tmp_path)


def test_no_folder_and_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        audit(tmp_path / "none")
    assert MAX_FILES > 1000
    monkeypatch.setattr("spt.audit.folder.MAX_FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="more than 2 files"):
        audit(tmp_path)
