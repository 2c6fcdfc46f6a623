"""What a run says about bad input, before it makes a folder."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.pipeline import run
from spt.errors import InputError
from tests.support.runs import tiny_config


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the tiny backbone and data of all runs."""
    folder = tmp_path_factory.mktemp("bad_input")
    tiny_config(folder)
    return folder


def rows(path: Path, *lines: tuple[str, ...]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *lines])
    return str(path)


def balanced(path: Path, words: int = 3) -> str:
    return rows(path, *((f"film {'very ' * words}{i % 7}", str(i % 2)) for i in range(40)))


def latin(path: Path) -> str:
    path.write_bytes("text,label\ncaf\xe9,a\n".encode("latin-1"))
    return str(path)


BAD: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "K over L": (
        lambda _: {"search": {"k": 5}},
        r"budget is 5 prompt layers, but must be from 1 to 4.*search\.k ",
    ),
    "K over candidates": (
        lambda _: {"search": {"k": 3, "candidates": [0, 1]}},
        "budget is 3 prompt layers, but must be from 1 to 2",
    ),
    "candidate over L": (
        lambda _: {"search": {"candidates": [1, 7]}},
        r"Candidate layers \[7\] do not exist: .* 0 to 3",
    ),
    "manual layer over L": (
        lambda _: {"search": {"strategy": "manual", "manual_layers": [4]}},
        r"layers \[4\] are not among 0 to 3",
    ),
    "manual layer twice": (
        lambda _: {"search": {"strategy": "manual", "manual_layers": [1, 1]}},
        r"layers \[1, 1\] name a layer twice",
    ),
    "unknown backbone": (lambda _: {"backbone": {"name": "no-such/model"}}, "backbone 'no-such/model'"),
    "backbone without weights": (
        lambda home: {"backbone": {"name": str(emptied(home, "model.safetensors"))}},
        "weights cannot be read",
    ),
    "backbone without tokenizer": (
        lambda home: {"backbone": {"name": str(emptied(home, "tokenizer.json", "tokenizer_config.json"))}},
        r"no tokenizer that can be read \(its vocabulary is empty\)",
    ),
    "PHM order": (lambda _: {"prompt": {"phm_order": 3}}, "PHM order is 3.*phm_order or bottleneck"),
    "unknown column": (lambda _: {"task": {"text": "txt"}}, r"Unknown column 'txt'\. Did you mean 'text'"),
    "unknown label": (
        lambda _: {"task": {"labels": ["bad", "fine"]}},
        "Label 'good' of train",
    ),
    "missing file": (lambda _: {"data": {"train": "no.csv"}}, "no.csv does not exist"),
    "no rows": (lambda home: {"data": {"train": rows(home / "none.csv")}}, "header but no rows"),
    "empty file": (lambda home: {"data": {"train": touched(home / "empty.csv")}}, "is empty"),
    "one class": (
        lambda home: {
            "data": {"train": rows(home / "one.csv", *[("a film", "x"), ("the film", "x")] * 20)},
            "task": {"label_words": None},
        },
        "one class only: 'x'",
    ),
    "label unseen in training": (
        lambda home: {
            "data": {
                "train": balanced(home / "a.csv"),
                "dev": rows(home / "b.csv", ("it", "2"), ("the", "1")),
            }
        },
        "Label '2' of dev.*not in the training data",
    ),
    "not UTF-8": (lambda home: {"data": {"train": latin(home / "latin.csv")}}, "is not utf-8: byte 0xe9"),
    "dev larger than the data": (lambda _: {"data": {"dev_size": 1000}}, r"data\.dev_size cannot be met"),
    "longer than the model": (
        lambda _: {"data": {"max_length": 33}},
        "max_length is 33, .* at most 32",
    ),
    "template leaves no room": (
        lambda _: {"head": {"kind": "verbalizer"}, "data": {"max_length": 4}},
        r"data\.max_length is 4, but the template .* leaves no room",
    ),
    "label word unknown": (
        lambda _: {"head": {"kind": "verbalizer"}, "task": {"label_words": ["terrible", "magnificent"]}},
        "label word 'magnificent'",
    ),
    "label word of several tokens": (
        lambda _: {"head": {"kind": "verbalizer"}, "task": {"label_words": ["terrible", "very great"]}},
        "label word 'very great' must be one token of this backbone, but is 2",
    ),
    "label words for three classes": (
        lambda _: {"task": {"label_words": ["terrible", "great", "fine"]}},
        "3 label_words, but train has 2 classes",
    ),
    "no label words": (
        lambda _: {"head": {"kind": "verbalizer"}, "task": {"label_words": None}},
        r"needs a label word for each class.*task\.label_words",
    ),
}


def touched(path: Path) -> str:
    path.touch()
    return str(path)


def emptied(home: Path, *names: str) -> Path:
    """The tiny backbone without some of its files."""
    source, folder = home / "backbone", home / f"without-{names[0]}"
    folder.mkdir()
    for path in source.iterdir():
        if path.name not in names:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_error_and_leaves_no_folder(case: str, home: Path, tmp_path: Path) -> None:
    sections, message = BAD[case]
    with pytest.raises(InputError, match=message):
        run(tiny_config(home, **sections(home)), tmp_path / "runs" / "new")
    assert list(tmp_path.iterdir()) == []
