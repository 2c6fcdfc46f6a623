"""Data that is easily read silently wrong: what was written, a warning by its rows, or a refusal."""

from __future__ import annotations

import json
import logging
import os
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from pydantic import ValidationError

from spt.data.config import DataConfig
from spt.data.loading import load_splits
from spt.data.reading.tables import to_tables
from spt.data.values import as_list
from spt.errors import InputError
from spt.tasks import get_task

CUSTOM = get_task("custom")
ROOT = Path(__file__).parents[3]
Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def load(path: Path, task: Any = CUSTOM, **options: Any) -> Any:
    return load_splits(task, DataConfig(train=path, **options), 0)


def rows_of(splits: Any) -> list[tuple[str, str]]:
    """The rows of all splits with their class names."""
    return sorted(
        (row["text"], split.features["label"].int2str(row["label"]))
        for split in splits.values()
        for row in split
    )


def json_lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def alternating(number: int, *labels: Any) -> list[dict[str, Any]]:
    return [{"text": f"text {i}", "label": labels[i % len(labels)]} for i in range(number)]


# class order

CLASS_ORDER = """
import sys
from spt.data.columns import to_rows
from spt.data.reading.raw_table import RawTable
from spt.tasks import get_task
labels = sys.argv[1:]
rows = to_rows(get_task("custom"), {"train": RawTable({"text": ["a"] * len(labels), "label": labels})})
print(" ".join(rows["train"].features["label"].names))
"""


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["1", "01", "2", "001"], "001 01 1 2"),
        (["7", "007", "10"], "007 7 10"),
        (["\u0663", "3", "\uff13", "03", "1"], "1 03 3 \u0663 \uff13"),
        (["b", "B", "a", "é", "e\u0301"], "B a b e\u0301 é"),
    ],
)
def test_class_order_is_the_same_in_every_process(labels: list[str], order: str) -> None:
    shuffled = random.Random(0)
    for hash_seed in "0158":
        given = shuffled.sample(labels, len(labels))
        ran = subprocess.run(
            [sys.executable, "-c", CLASS_ORDER, *given],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert ran.stdout.strip() == order


# positions as labels


@pytest.mark.parametrize(
    ("names", "labels", "refused"),
    [
        (["1", "2", "3"], ["0", "1", "2", "3"], "'0'"),
        (["5", "4", "3"], ["5", "4", "0"], "'0'"),
        (["-1", "1"], ["0", "1"], "'0'"),
        (["+1", "neutral"], ["neutral", "1"], "'1'"),
        (["1.0", "2.0"], ["1", "2"], "'1', '2'"),
        (["½", "other"], ["0", "1"], "'0', '1'"),
        (["٢", "٣"], ["0", "1"], "'0', '1'"),
        (["50%", "no"], ["0", "1"], "'0', '1'"),
        (["1e3", "no"], ["0", "no"], "'0'"),
        (["1 star", "2 stars", "3 stars"], ["1", "2"], "'1', '2'"),
    ],
)
def test_a_number_is_no_position_where_classes_are_called_like_numbers(
    names: list[str], labels: list[str], refused: str, write: Write
) -> None:
    path = write("t.jsonl", json_lines(*alternating(40, *labels)))
    with pytest.raises(InputError, match=f"Label {refused} of train.* is not a class of task 'custom'"):
        load(path, get_task("custom", labels=names))


@pytest.mark.parametrize("names", [["no", "yes"], ["class 0", "class 1"], ["GPT", "Sci/Tech"]])
def test_a_position_is_a_label_where_no_class_has_another_number(names: list[str], write: Write) -> None:
    splits = load(
        write("t.jsonl", json_lines(*alternating(40, 0, "1", names[0]))), get_task("custom", labels=names)
    )
    labels = {text: label for text, label in rows_of(splits)}
    assert [labels[f"text {i}"] for i in range(3)] == [names[0], names[1], names[0]]


# overlap of splits


def test_what_is_held_out_is_in_no_given_split(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    content = "text,label\n" + "".join(f"text {i},{i % 2}\n" for i in range(300))
    train, dev = write("t.csv", content), write("d.csv", "\n".join(content.splitlines()[:101]))
    splits = load(train, dev=dev)
    texts = {name: set(split["text"]) for name, split in splits.items()}
    assert texts["dev"] == {f"text {i}" for i in range(100)}
    assert len(texts["test"]) == 30
    assert not texts["test"] & texts["dev"]
    assert not texts["train"] & (texts["dev"] | texts["test"])
    assert "100 of 300 rows of train have texts that are in dev too" in caplog.text


def test_overlap_of_given_splits_is_told_once_with_counts(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    def part(name: str, first: int, last: int) -> Path:
        rows = "".join(f"text {i},{i % 2}\n" for i in range(first, last))
        return write(name, "text,label\n" + rows)

    splits = load(part("a.csv", 0, 60), dev=part("b.csv", 50, 80), test=part("c.csv", 70, 90))
    assert [len(splits[name]) for name in ("train", "dev", "test")] == [50, 30, 20]
    (line,) = [record.getMessage() for record in caplog.records if "overlap" in record.getMessage()]
    assert "10 of 60 rows of train have texts that are in dev too" in line
    assert "10 of 30 rows of dev have texts that are in test too" in line
    assert "test too" in line and caplog.records[0].levelno == logging.WARNING


def test_splits_that_share_nothing_are_not_spoken_of(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    load(write("t.jsonl", json_lines(*alternating(60, "a", "b"))))
    assert caplog.text == ""


# JSON and parquet: what was written


@pytest.mark.parametrize("in_list", [False, True], ids=["lines", "list"])
def test_json_text_stays_what_was_written(in_list: bool, write: Write) -> None:
    labels = ["2024-01-01", "2024-01-02T10:00:00+02:00", "1.50", "01", "NaN", "null", "true"]
    texts = [f"{label} {i}" for i in range(3) for label in labels]
    rows = [{"text": text, "label": text.split()[0], "id": i} for i, text in enumerate(texts)]
    rows += [{"text": "2024-05-06T00:00:00Z", "label": "01"}, {"text": "2024-05-06", "label": "01"}]
    content = json.dumps(rows, indent=1) if in_list else json_lines(*rows)
    assert rows_of(load(write("t.json", content))) == sorted((row["text"], row["label"]) for row in rows)


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_numbers_are_labels_as_before(name: str, write: Write) -> None:
    rows = alternating(40, 1, 2.0, 0.5) if name == "t.jsonl" else alternating(40, 1.0, 2.0, 0.5)
    path = write(name, json_lines(*rows))
    if name == "t.parquet":
        Dataset.from_list(rows).to_parquet(path)
    assert {label for _, label in rows_of(load(path))} == {"1", "2", "0.5"}


BAD_VALUES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "NaN label": ([{"label": float("nan")}] * 2, r"label column 'label' of train is empty in 2 rows: 41, 42"),
    "null label": ([{"label": None}], "label column 'label' of train is empty in row 41"),
    "no label": ([{"label": ...}], "label column 'label' of train is empty in row 41"),
    "infinite label": ([{"label": float("-inf")}], r"label' of train holds -inf \(float\) in row 41"),
    "list label": ([{"label": ["a"]}], "label' of train holds a value of type list in row 41"),
    "object label": ([{"label": {"a": 1}}], "label' of train holds a value of type dict in row 41"),
    "long label": ([{"label": "7" * 5000}], r"label' of train holds more than 500 characters in row 41"),
    "NaN text": ([{"text": float("nan")}], "text column 'text' of train is empty in row 41"),
    "null text": ([{"text": None}] * 9, r"empty in 9 rows: 41, 42, 43, 44, 45, 46, 47, 48, 49"),
    "token list": ([{"text": ["a", "b"]}], "text' of train holds a value of type list in row 41"),
    "number text": ([{"text": 5}], "text' of train holds a value of type int in row 41.*one text a row"),
    "half a pair": ([{"text": "a \ud83d"}], "text' of train holds half of a surrogate pair in row 41"),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_json_value_that_is_no_text_or_label_is_refused_by_row(case: str, write: Write) -> None:
    changes, message = BAD_VALUES[case]
    bad = [{"text": f"bad {i}", "label": "a"} | change for i, change in enumerate(changes)]
    rows = [
        {key: value for key, value in row.items() if value is not ...}
        for row in [*alternating(40, "a", "b"), *bad]
    ]
    for content in (json_lines(*rows), json.dumps(rows)):
        with pytest.raises(InputError, match=message):
            load(write("t.json", content))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "label",
            [b"pos", b"neg"],
            "label' of train holds a value of type bytes in 40 rows: 1, 2, 3, 4, 5, .*, 20 …",
        ),
        ("label", [1.0, float("nan")], "label' of train is empty in 20 rows: 2, 4, 6, 8, 10, .* 40\\. "),
        ("label", [["a"], ["b", "a"]], "label' of train holds a value of type list in 40 rows"),
        (
            "label",
            [date(2024, 1, 1), date(2024, 1, 2)],
            "label' of train holds a value of type date in 40 rows",
        ),
        (
            "label",
            [datetime(2024, 1, 1, tzinfo=timezone.utc), datetime(2024, 1, 2, tzinfo=timezone.utc)],
            "label' of train holds a value of type datetime in 40 rows",
        ),
        ("text", [b"one", b"two"], "text' of train holds a value of type bytes in 40 rows"),
        ("text", [["one"], ["two"]], "text' of train holds a value of type list in 40 rows"),
        ("text", ["one", None], "text' of train is empty in 20 rows"),
        ("text", [1.5, float("nan")], "text' of train is empty in 20 rows"),
        ("text", [1.5, 2.5], "text' of train holds a value of type float in 40 rows"),
    ],
    ids=str,
)
def test_a_parquet_or_python_value_that_is_no_text_or_label_is_refused_by_row(
    column: str, values: list[Any], message: str, tmp_path: Path
) -> None:
    rows = {"text": [f"text {i}" for i in range(40)], "label": ["a", "b"] * 20, column: values * 20}
    Dataset.from_dict(rows).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=message):
        load(tmp_path / "t.parquet")
    for given in (rows, (rows["text"], rows["label"]), Dataset.from_dict(rows)):
        with pytest.raises(InputError, match=message):
            load_splits(CUSTOM, DataConfig(), 0, to_tables({"train": given}, CUSTOM))


def test_columns_of_mixed_python_values_are_read_value_by_value() -> None:
    labels = [1, "1", np.int64(2), np.float32(2), "2 ", True, np.bool_(True), 10**20] * 10
    frame = pd.DataFrame(
        {"text": [f"t{i}" for i in range(80)], "label": pd.Series(labels, dtype=object), 3: 0}
    )
    splits = load_splits(CUSTOM, DataConfig(), 0, to_tables({"train": frame}, CUSTOM))
    names = {text: name for text, name in rows_of(splits)}
    assert [names[f"t{i}"] for i in range(8)] == ["1", "1", "2", "2", "2", "True", "True", str(10**20)]
    frame["label"] = pd.Categorical(["x", "y"] * 40)
    splits = load_splits(CUSTOM, DataConfig(), 0, to_tables({"train": frame}, CUSTOM))
    assert splits["train"].features["label"].names == ["x", "y"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "are NoneType, but must be a DataFrame"),
        (
            {"text": 5, "label": ["a"]},
            "column 'text' is of type int, but must be a list, an array or a Series",
        ),
        ({"text": {"a"}, "label": ["a"]}, "column 'text' is of type set"),
        ({"text": None, "label": ["a"]}, "column 'text' is of type NoneType"),
        ((["a", "b"], [1, float("nan")]), "label' of train is empty in row 2"),
        # as one of Python, which data.incomplete leaves out
        (
            (["a", "b"], [1, np.float32("nan")]),
            r"of train is empty in row 2\. .*set data\.incomplete to drop",
        ),
        (
            (["a", "b"], [1, torch.tensor(float("nan"))]),
            r"is empty in row 2\. .*set data\.incomplete to drop",
        ),
        ((["a", "b"], [1, 10**600]), "label' of train holds more than 500 characters in row 2"),
        (
            DatasetDict(train=Dataset.from_dict({"text": ["a"], "label": ["x"]})),
            r"rows of train came as splits \(train\)\. Give one of them, as data\['train'\]",
        ),
        (
            pd.DataFrame([["a", "b", "x"]], columns=["text", "text", "label"]),
            "rows of train have several columns of the name 'text': text, text, label. Rename or remove",
        ),
    ],
    ids=str,
)
def test_odd_python_rows_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_splits(CUSTOM, DataConfig(), 0, to_tables({"train": rows}, CUSTOM))


def test_an_index_without_a_class_is_no_label() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["a", "b"])})
    rows = Dataset.from_dict({"text": ["x", "y", "z"], "label": [0, 1, -1]}, features=features)
    with pytest.raises(InputError, match="label' of train is empty in row 3"):
        load_splits(
            get_task("custom", labels=["-1", "a", "b"]), DataConfig(), 0, to_tables({"train": rows}, CUSTOM)
        )


ROW = '{"text": "a", "label": "x"}\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("null\n" + ROW, "as json: line 1 is null, but must be an object"),
        (ROW + "null\n", "line 2 is null"),
        (ROW + "\n5\n", "line 3 is a number"),
        (ROW + '"text"\n', "line 2 is a text"),
        (ROW + '["a", "x"]\n', "line 2 is a list"),
        (ROW + "true\n", "line 2 is true or false"),
        ("[" + ROW + ", null]", "item 2 is null"),
        ("[]", "has no rows"),
        ("\n \n", "has no rows"),
        (ROW + '{"text": ' + "[" * 100_000, "line 2 (is nested too deeply|cannot be read)"),
        (
            ROW + '{"text": "b", "label": ' + "[" * 10_000 + "]" * 10_000 + "}\n",
            "nested too deeply|type list in row",
        ),
        ("[" * 100_000, r"the list that starts in line 1 is nested too deeply"),
        (ROW + '{"text": "a", "text": "b", "label": "x"}', "line 2 .*has the key 'text' twice"),
        (ROW + '{"text": "b", "label": ' + "7" * 5000 + "}", "line 2 .*number has 5000 digits"),
        (ROW + "{'text': 'b'}", "line 2 cannot be read"),
        (ROW + '{"text": "b", "label": "y"} {"text": "c"}', "line 2 cannot be read .Extra data"),
        ('{"text": ["a", "b"], "label": ["x", "y"]}', "is one JSON object with 2 keys"),
        ('{"texts": "a", "label": "x"}\n' * 2, "Unknown column 'text'. Did you mean 'texts'"),
        ("{}\n{}\n", "Unknown column 'text'"),
        ("\x00" * 20, "line 1 cannot be read"),
    ],
    ids=lambda value: value[:30],
)
def test_a_json_file_of_other_things_is_refused_with_the_line(
    content: str, message: str, write: Write
) -> None:
    with pytest.raises(InputError, match=message):
        load(write("t.jsonl", content))


def test_a_json_file_may_have_blank_lines_a_mark_and_odd_other_columns(write: Write) -> None:
    rows = [
        row | {"id": [i, {"deep": None}][i % 2], f"x{i}": i}
        for i, row in enumerate(alternating(40, "a", "b"))
    ]
    content = "\ufeff" + json_lines(*rows).replace("\n", "\r\n\n")
    assert len(rows_of(load(write("t.jsonl", content)))) == 40


# CSV


def test_a_quote_that_swallows_lines_is_told_with_its_rows(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [f"text {i},{'ab'[i % 2]}" for i in range(60)]
    lines[5], lines[21] = '"' + lines[5], 'the end",b'
    lines[40] = '"two\r\nlines",a'
    splits = load(write("t.csv", "text,label\n" + "\n".join(lines) + "\n"))
    assert len(rows_of(splits)) == 60 - 16
    (record,) = caplog.records
    message = record.getMessage()
    assert "hold line breaks in 2 rows (row 6 has 17 lines, row 25 has 2 lines)" in message
    assert record.levelno == logging.WARNING and "t.csv" in message


def test_quotes_around_single_lines_are_not_spoken_of(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    load(write("t.csv", "text,label\n" + "".join(f'"text, {i}",{i % 2}\n' for i in range(40))))
    assert caplog.text == ""


def test_a_label_of_thousands_of_digits_is_refused(write: Write) -> None:
    path = write("t.csv", "text,label\n" + "a,1\nb,2\n" * 20 + "c," + "9" * 5000 + "\n")
    with pytest.raises(InputError, match="label' of train holds more than 500 characters in row 41"):
        load(path)


def test_labels_with_stray_spaces_are_told_in_one_line(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(
        "t.csv", "text,label\n" + "".join(f"text {i},{['a', 'b ', 'b'][i % 3]}\n" for i in range(60))
    )
    assert {label for _, label in rows_of(load(path))} == {"a", "b"}
    (record,) = caplog.records
    assert "spaces around its labels, which are left out, in 20 rows: 2, 5, 8" in record.getMessage()


@pytest.mark.parametrize(
    ("first", "second"),
    [("a", "A"), ("a b", "ab"), ("é", "e\u0301"), ("a", "\u200ba"), ("1", "01"), ("7", "\uff17")],
)
def test_classes_that_look_alike_are_told(
    first: str, second: str, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    splits = load(write("t.jsonl", json_lines(*alternating(60, first, second, "9"))))
    assert len(splits["train"].features["label"].names) == 3
    (record,) = caplog.records
    assert "look alike" in record.getMessage() and repr(first) in record.getMessage()


def test_a_class_that_no_score_is_about_is_told(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    load(
        write(
            "t.csv",
            "text,label\n" + "a 1,a\nb 1,b\n" + "".join(f"t{i},{'ab'[i % 2]}\n" for i in range(40)) + "c,c\n",
        )
    )
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0] for line in told] == [
        f"{split} has no row of the class 'c'" for split in ("dev", "test")
    ]


@pytest.mark.parametrize(
    "encoding",
    [
        *("rot13", "rot_13", "base64", "hex", "zlib", "bz2", "uu", "quopri", "undefined", "idna", "punycode"),
        *("unicode_escape", "raw_unicode_escape", "no\x00ne", "\ud83d", "x" * 5000, "", "utf8000"),
    ],
    ids=ascii,
)
def test_what_is_no_encoding_of_text_is_refused(encoding: str) -> None:
    with pytest.raises(
        ValidationError, match=r"(encoding|codec).*examples: utf-8, latin-1, cp1252, utf-16"
    ) as error:
        DataConfig(encoding=encoding)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-7", "cp1252", "shift_jis", "cp500", "utf-8-sig", "utf-32-le"]
)
def test_encodings_of_text_are_read(encoding: str, write: Write) -> None:
    rows = alternating(40, "a", "b")
    content = "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows)
    for name, text in (("t.csv", content), ("t.jsonl", json_lines(*rows))):
        splits = load(write(name, text.encode(encoding)), encoding=encoding)
        assert rows_of(splits) == sorted((row["text"], row["label"]) for row in rows)


@pytest.mark.parametrize(
    "values", [pa.chunked_array([["a"], ["b"]]), pa.array(["a", "b"]), pd.Series(["a", "b"])]
)
def test_values_of_every_kind_of_array_are_pythons_own(values: Any) -> None:
    assert as_list(values, "It") == ["a", "b"]
    with pytest.raises(InputError, match="It is of type Table, but must be a list"):
        as_list(pa.table({"text": values}), "It")
