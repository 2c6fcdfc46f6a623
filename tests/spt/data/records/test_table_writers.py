"""Tables are written in parts, in the format of their ending, whole or not at all."""

from __future__ import annotations

import csv
import datetime
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from spt.data.records.table_writers import writing_table
from spt.errors import InputError

ROWS: list[dict[str, Any]] = [
    {"id": 1, "text": 'a "quoted",\r text\nof two; lines', "more": [1, {"a": None}], "none": None},
    {"id": 2, "text": "b", "more": [], "none": None},
    {"id": 3, "text": "é", "more": None, "none": None},
]
PLAIN = [{"id": row["id"], "text": row["text"]} for row in ROWS[1:]]


def write(path: Path, *chunks: Any, **options: Any) -> Path:
    with writing_table(path, **options) as records:
        for chunk in chunks:
            records(chunk)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_is_read_back_as_text(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path / "a.csv", ROWS[:1], ROWS[1:], delimiter=delimiter)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    assert [row["text"] for row in rows] == [row["text"] for row in ROWS]
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert [row["more"] for row in rows] == ['[1, {"a": null}]', "[]", ""]
    assert [row["none"] for row in rows] == [""] * 3


def test_tsv_has_a_line_a_row_and_no_quotes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", PLAIN, [{"id": None, "text": '"'}])
    assert path.read_bytes().decode() == 'id\ttext\n2\tb\n3\té\n\t"\n'


def test_an_example_types_columns_that_the_first_rows_leave_empty(tmp_path: Path) -> None:
    chunks = [[{"id": 1, "labels": []}], [{"id": 2, "labels": ["a"]}]]
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "a.parquet", *chunks)
    path = write(tmp_path / "a.parquet", *chunks, example={"labels": [""]})
    assert parquet.read_table(path).to_pylist() == [*chunks[0], *chunks[1]]


@pytest.mark.parametrize("text", ["a\tb", "a\nb", "a\rb"])
def test_what_tsv_cannot_hold_is_refused_by_row(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("before", encoding="utf-8")
    with pytest.raises(InputError, match=r"Row 3 cannot be written to .*: it has a tab or a line break"):
        write(path, PLAIN, [{"id": 4, "text": text}])
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_json_lines_keep_every_value(tmp_path: Path) -> None:
    rows = [*ROWS, {"other": "\ud83d"}, {"id": 2**70}]
    path = write(tmp_path / "a.jsonl", rows[:2], rows[2:])
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == rows
    dated = write(tmp_path / "b.jsonl", [{"at": datetime.date(2024, 1, 2)}])
    assert json.loads(dated.read_text(encoding="utf-8")) == {"at": "2024-01-02"}


def test_numbers_that_json_has_not_are_null_in_it(tmp_path: Path) -> None:
    row = {"a": math.nan, "b": [1.5, -math.inf], "c": {"d": math.inf, "e": "NaN"}, "f": "\ud83d"}
    line = write(tmp_path / "a.jsonl", [row]).read_text(encoding="utf-8")
    expected = {"a": None, "b": [1.5, None], "c": {"d": None, "e": "NaN"}, "f": "\ud83d"}
    assert json.loads(line, parse_constant=pytest.fail) == expected
    assert "[1.5, null]" in write(tmp_path / "a.csv", [{"b": row["b"]}]).read_text(encoding="utf-8")


def test_parquet_has_the_types_of_its_source_and_of_the_first_rows(tmp_path: Path) -> None:
    source = pa.table(
        {"n": pa.array([1, 2], pa.int8()), "at": pa.array([0, None], pa.timestamp("ms")), "text": ["a", "b"]}
    )
    parquet.write_table(source, tmp_path / "source.parquet")
    rows = [{**row, "label": "x", "empty": None} for row in source.to_pylist()]
    path = write(tmp_path / "a.parquet", rows[:1], rows[1:], source=tmp_path / "source.parquet")
    table = parquet.read_table(path)
    assert table.to_pylist() == rows
    assert table.schema.field("n").type == pa.int8() and table.schema.field("at").type == pa.timestamp("ms")
    assert table.schema.field("empty").type == pa.string()


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_column_that_comes_later_is_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(InputError, match=r"Row 3 .*: it has 'new', which row 1 does not have. Write .jsonl"):
        write(tmp_path / f"a.{ending}", PLAIN, [{"id": 4, "new": 1}])
    assert not list(tmp_path.iterdir())


def test_a_column_that_ends_early_is_empty(tmp_path: Path) -> None:
    assert write(tmp_path / "a.tsv", PLAIN[:1], [{"id": 3}]).read_text() == "id\ttext\n2\tb\n3\t\n"
    assert parquet.read_table(write(tmp_path / "a.parquet", PLAIN[:1], [{"id": 3}]))["text"].to_pylist() == [
        "b",
        None,
    ]


def test_values_of_another_type_than_the_first_are_refused_in_parquet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"A row from 3 to 3 cannot be written .* Write .jsonl instead"):
        write(tmp_path / "a.parquet", PLAIN, [{"id": "four", "text": "d"}])


@pytest.mark.parametrize(
    ("first", "later", "said"),
    [
        (1, 1.99, "is 1.99, but the column's type is int64"),
        (1.5, True, "is True, but the column's type is double"),
        ({"a": 1}, {"a": 1, "b": "lost"}, r"is {'a': 1, 'b': 'lost'}, but .* struct<a: int64>"),
        ([{"a": 1}], [{"a": 1}, {"b": 2}], r"is \[{'a': 1}, {'b': 2}\]"),
    ],
)
def test_a_value_that_the_first_rows_type_would_change_is_refused_in_parquet(
    tmp_path: Path, first: Any, later: Any, said: str
) -> None:
    with pytest.raises(InputError, match=rf"Row 3 cannot be written .*{said}.*Write .jsonl instead"):
        write(tmp_path / "a.parquet", [{"value": first}] * 2, [{"value": later}, {"value": first}])
    assert not list(tmp_path.iterdir())


def test_values_that_parquet_writes_in_another_way_are_kept(tmp_path: Path) -> None:
    rows = [{"n": 1.5, "meta": {"a": 1, "b": [2]}}, {"n": 2, "meta": {"a": 3}}, {"n": math.nan, "meta": None}]
    table = parquet.read_table(write(tmp_path / "a.parquet", rows[:1], rows[1:])).to_pylist()
    assert table[:2] == [rows[0], {"n": 2.0, "meta": {"a": 3, "b": None}}]
    assert math.isnan(table[2]["n"]) and table[2]["meta"] is None


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_half_of_a_surrogate_pair_is_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / f"a.{ending}", [{"id": "\ud83d"}])


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is '.xlsx', but must be one of .csv, .tsv, .jsonl, .parquet"):
        write(tmp_path / "a.xlsx", PLAIN)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_table_is_written_as_it_comes(tmp_path: Path, ending: str) -> None:
    tracemalloc.start()
    try:
        with writing_table(tmp_path / f"a.{ending}") as records:
            for number in range(20_000):
                records([{"text": "word " * 20, "n": number}])
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
