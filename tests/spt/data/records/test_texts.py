"""Texts without labels, by line and by column: each record is one row, and what is no text is named."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset
from pyarrow import parquet

from spt.data.config import DataConfig
from spt.data.reading.files import read_file
from spt.data.records.text_columns import HEAD, text_columns
from spt.data.records.text_lines import read_lines
from spt.data.records.text_record import TextRecord
from spt.data.records.text_tables import read_table
from spt.errors import InputError
from spt.tasks import Task, get_task


def texts(records: Iterator[TextRecord]) -> list[tuple[str, ...] | None]:
    return [record.texts for record in records]


TEXT = Task(name="tickets", text="message")
PAIR = Task(name="claims", text="premise", text_pair="hypothesis")


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_lines_are_read_as_they_come() -> None:
    def lines() -> Iterator[bytes]:
        yield b"first\n"
        pytest.fail("read ahead")

    assert next(read_lines(lines(), TEXT)) == TextRecord(("first",), {"message": "first"})


def test_pairs_are_read_from_tabs_and_from_json() -> None:
    assert texts(read_lines([b"\xef\xbb\xbfa b\tc\r\n"], PAIR)) == [("a b", "c")]
    for keys in (("text", "text_pair"), ("premise", "hypothesis")):
        row = {keys[0]: "a b", keys[1]: " c ", "label": 12345678901234567890}
        assert list(read_lines([json.dumps(row).encode()], PAIR)) == [TextRecord(("a b", "c"), row)]


def test_the_tasks_own_columns_go_before_the_general_ones() -> None:
    assert text_columns(["id", "text", "message"], TEXT, "it") == ("message",)
    assert text_columns(["id", "text"], TEXT, "it") == ("text",)
    # one of each would be a guess
    with pytest.raises(InputError, match="'premise' and 'hypothesis'"):
        text_columns(["premise", "text_pair"], PAIR, "it")


@pytest.mark.parametrize(
    ("lines", "task", "said"),
    [
        ([b"a"], PAIR, "one tab"),
        ([b"a\tb\tc"], PAIR, "2 tabs"),
        ([b'{"text": "a"}', b"b"], TEXT, "Line 2: not JSON"),
        ([b'{"text": "a"}'], PAIR, "Line 1 .* has the columns 'text', but .*'premise' and 'hypothesis'"),
        ([b'{"id": 1, "body": "a"}'], TEXT, "Line 1 .* has the columns 'id', 'body', but .* reads 'message'"),
        ([b"{}"], TEXT, "Line 1 .* has the columns .none."),
        ([b'{"text": "a", "text_pair": "b"}'], TEXT, "one text a row"),
        ([b'{"text": 3}'], TEXT, "must be a JSON object"),
        (
            [b'{"text": "a"}', b'{"text": "\\ud83d"}'],
            TEXT,
            "Line 2: the text holds half of a surrogate pair",
        ),
        ([b'{"text": "\\ud83d"}'], TEXT, "Line 1: the text holds half of a surrogate pair"),
        (
            [b'{"text": "a"}', b'{"text": "b", "n": %s}' % (b"1" * 5000)],
            TEXT,
            "Line 2: a number has 5000 digits, but may have 400",
        ),
        ([b'{"text": "a"}', b'{"text": "a", "text": "b"}'], TEXT, "Line 2: .* key 'text' twice"),
        ([b"message,label\n"], TEXT, "Line 1 is the header of a table, with the columns message, label"),
        ([b'id;"message";label'], TEXT, "Line 1 is the header of a table"),
        ([b"hypothesis\tpremise\tlabel"], PAIR, "Line 1 is the header of a table"),
        ([b"id,text\r\n"], TEXT, "Line 1 is the header of a table, with the columns id, text"),
        ([b"message\n"], TEXT, "columns message.* If it is a text, give JSON lines, as {.message.: .….}"),
        ([b"text\n"], TEXT, "Line 1 is the header of a table"),
        ([b"text\ttext_pair\n"], PAIR, "Line 1 is the header of a table"),
        ([b"[\n", b'{"text": "a"}\n', b"]\n"], TEXT, "Line 1 begins JSON .* ends in .json. If it is a text"),
        ([b' [ {"text": "a"}, {"text": "b"}]\n'], TEXT, "Line 1 begins JSON that is not one object a line"),
        ([b"\n", b'[{"text": "a"},\n'], TEXT, "Line 2 begins JSON"),
        ([b"[{\n"], TEXT, "Line 1 begins JSON"),
        ([b"{\n", b'"text": "a"}\n'], TEXT, "Line 1 begins JSON"),
        ([b'{"text": "a",\n', b'"id": 1}\n'], TEXT, "Line 1 begins JSON"),
        ([b"\n", b"message,label\n"], TEXT, "Line 2 is the header of a table"),
        ([b"[" * 100_000], TEXT, "Line 1: nested too deeply"),
        ([b'{"text": "a"}', b'{"text": ' + b"[" * 100_000], TEXT, "Line 2: nested too deeply"),
    ],
)
def test_unreadable_lines_are_named(lines: list[bytes], task: Task, said: str) -> None:
    with pytest.raises(InputError, match=said):
        list(read_lines(lines, task))


@pytest.mark.parametrize(
    "line",
    [
        "text, please",
        "a text",
        "Text",
        "no message;no text",
        '{"text": "text"}',
        '{"text":"a","tags":["x","text","y"]}',
    ],
)
def test_a_first_line_that_names_a_column_among_words_is_a_text(line: str) -> None:
    assert len(list(read_lines([line.encode()], TEXT))) == 1


@pytest.mark.parametrize(
    "line", ["[laughs] that was great", "[1, 2]", "[{sic}]", "{name}, hi", '{"so", he said']
)
def test_a_first_line_that_begins_with_a_bracket_is_a_text(line: str) -> None:
    assert texts(read_lines([line.encode(), b'{"text": "a"}'], TEXT)) == [(line,), ('{"text": "a"}',)]


def test_carriage_returns_end_lines_where_nothing_else_does() -> None:
    assert texts(read_lines([b"a\rb\r\rc\r"], TEXT)) == [("a",), ("b",), None, ("c",)]
    assert texts(read_lines([b'{"text": "a"}\r{"text": "b"}'], TEXT)) == [("a",), ("b",)]
    assert texts(read_lines([b"a\rb\r\n", b"c\rd"], TEXT)) == [("a\rb",), ("c\rd",)]


def test_blank_lines_among_json_lines_are_no_records() -> None:
    lines = [b"\n", b" \n", b'{"text": "a"}\n', b"\n", b'{"text": "b"}\n', b"\n"]
    assert texts(read_lines(lines, TEXT)) == [("a",), ("b",)]
    assert texts(read_lines([b"\n", b"a\n", b"\n"], TEXT)) == [None, ("a",), None]
    assert texts(read_lines([b"\n", b" \n"], TEXT)) == [None, None] and texts(read_lines([], TEXT)) == []


def test_quoted_line_breaks_and_blank_lines_make_no_records(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "tickets.CSV", '\ufeffmessage,id\n"a, ""b""\n\nc",1\n\n d ,2\n')
    assert texts(read_table(path, TEXT)) == [('a, "b"\n\nc',), ("d",)]
    (warning,) = caplog.messages
    assert "line breaks in 1 rows (row 1)" in warning


def test_a_tsv_has_no_quotes(tmp_path: Path) -> None:
    path = written(tmp_path / "tickets.tsv", 'id\tmessage\n1\t"a\n2\tb\n')
    assert texts(read_table(path, TEXT)) == [('"a',), ("b",)]


def test_pairs_come_from_two_columns(tmp_path: Path) -> None:
    path = written(tmp_path / "pairs.csv", "hypothesis,premise,label\nb,a,x\n")
    assert texts(read_table(path, PAIR)) == [("a", "b")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "id,body\n1,a\n", "a.csv has the columns 'id', 'body', but .* reads 'message'. Name the"),
        ("a.csv", "id;body\n1;a\n", "has the columns 'id', 'body'"),
        ("a.csv", "message,id,message\na,1,b\n", "a.csv has several columns of the name 'message': mess"),
        ("a.tsv", "id\tmessage\tid\n1\ta\t2\n", "a.tsv has several columns of the name 'id'.* Rename or"),
        ("a.csv", "", "has no rows"),
        ("a.csv", "message\n", "has no rows"),
        ("a.csv", "id,message\n1,a,b\n", "Row 1 of .*a.csv has 3 fields, but the header has 2"),
        ("a.csv", b"message\na\n\xff\n", "a.csv is not UTF-8"),
        ("a.csv", 'message\na\n"' + "b\n" * 100_000, "Row 2 of .*a.csv is not csv: .*Close quotes"),
        (
            "a.csv",
            'message\na\n"b\nc\n',
            "Row 2 of .*a.csv is not csv: a quote is never closed. Close quotes",
        ),
        ("a.jsonl", '{"message": "a"}\n{"message": 3}\n', "holds a value of type int in row 2"),
        ("a.jsonl", '{"message": "a"}\nb\n', "Cannot read .*a.jsonl as json: line 2"),
        ("a.jsonl", "null\n", "line 1 is null"),
        ("a.jsonl", b'{"message": "\xff"}', "a.jsonl is not UTF-8"),
        ("a.parquet", "message", "Cannot read .*a.parquet as parquet"),
    ],
)
def test_what_is_no_text_is_named_by_its_row(
    name: str, content: str | bytes, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        list(read_table(written(tmp_path / name, content), TEXT))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,message\n1,a\n2,\n3,b\n"),
        ("a.csv", "id,message\n1,a\n2\n3, b\n"),
        ("a.tsv", "id\tmessage\n1\ta\n2\t \n3\tb\n"),
        ("a.jsonl", '{"message": "a"}\n\n{"message": null}\n{"message": "b"}\n'),
        ("a.jsonl", '{"message": "a"}\n{"id": 3}\n{"message": "b"}\n'),
    ],
)
def test_a_row_without_a_text_is_a_record_without_one(name: str, content: str, tmp_path: Path) -> None:
    assert texts(read_table(written(tmp_path / name, content), TEXT)) == [("a",), None, ("b",)]


def test_the_first_records_of_json_may_have_no_text(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [{"id": 1}, {}, {"text": "a", "id": 2}, {"message": "b"}, {"text": "c"}]
    lines = [json.dumps(record) for record in records]
    expected = [
        TextRecord(texts, records[row]) for row, texts in enumerate([None, None, ("a",), None, ("c",)])
    ]
    for name, content in (("a.jsonl", "\n".join(lines)), ("a.json", f"[{', '.join(lines)}]")):
        assert list(read_table(written(tmp_path / name, content), TEXT)) == expected
    assert list(read_lines([f"{line}\n".encode() for line in lines], TEXT)) == expected
    pairs = [{"premise": "a"}, {"premise": "b", "hypothesis": "c"}]
    assert texts(read_lines([json.dumps(pair).encode() for pair in pairs], PAIR)) == [None, ("b", "c")]


def test_texts_are_looked_for_in_the_first_records_of_json_alone(tmp_path: Path) -> None:
    near, far = ([b'{"id": 1}\n'] * without + [b'{"message": "a"}\n'] for without in (HEAD - 1, HEAD))
    for read in (
        lambda lines: texts(read_lines(lines, TEXT)),
        lambda lines: texts(read_table(written(tmp_path / "a.jsonl", b"".join(lines)), TEXT)),
    ):
        assert read(near) == [None] * (HEAD - 1) + [("a",)]
        with pytest.raises(InputError, match=r"has the columns 'id', but .* reads 'message'"):
            read(far)


def test_a_line_without_a_text_is_a_record_without_one() -> None:
    assert texts(read_lines([b"a", b" \n", b"\n", b"b"], TEXT)) == [("a",), None, None, ("b",)]
    assert texts(read_lines([b"a\tb", b"\n", b"a\t \n"], PAIR)) == [("a", "b"), None, None]
    lines = [b'{"text": "a"}', b'{"text": null}', b'{"text": NaN}', b'{"id": 1}']
    assert texts(read_lines(lines, TEXT)) == [("a",), None, None, None]


@pytest.mark.parametrize(
    ("column", "said"),
    [({"message": [1.5, None]}, "a value of type float in row 1"), ({"body": ["a"]}, "columns 'body'")],
)
def test_a_parquet_column_is_checked(column: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    Dataset.from_dict(column).to_parquet(path)
    with pytest.raises(InputError, match=said):
        list(read_table(path, TEXT))


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_found_and_told(
    delimiter: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    header, row = ["id, of us", "message"], ["1", "a, b, c"]
    path = written(tmp_path / "a.csv", f"\n{delimiter.join(header)}\n{delimiter.join(row)}\n")
    assert list(read_table(path, TEXT)) == [TextRecord(("a, b, c",), dict(zip(header, row, strict=True)))]
    assert caplog.messages == [f"{path} has {delimiter!r} between its fields, by its first line"]


def test_a_comma_is_no_matter_for_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for content in ("id;x,message\n1;2,a\n", "message\na\n", '"message;","message"\nb,a\n'):
        assert texts(read_table(written(tmp_path / "a.csv", content), TEXT)) == [("a",)]
    assert caplog.messages == []


@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("tsv", "\t")])
def test_fields_that_a_short_row_lacks_are_empty(ending: str, mark: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"a.{ending}", f"message{mark}note\na b\nc d{mark}yes\n")
    rows = [record.columns for record in read_table(path, TEXT)]
    assert rows == [{"message": "a b", "note": ""}, {"message": "c d", "note": "yes"}]


def test_columns_stay_what_was_written(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"message": " a ", "n": 2**60, "list": [1, {"b": None}], "odd": 1e400},
        {"message": "b"},
    ]
    path = written(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert [record.columns for record in read_table(path, TEXT)] == rows


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_table_is_read_as_it_is_answered(ending: str, tmp_path: Path) -> None:
    text = "word " * 20
    line = f"{text}\n" if ending == "csv" else f'{{"message": "{text}"}}\n'
    path = written(tmp_path / f"a.{ending}", ("message\n" if ending == "csv" else "") + line * 50_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in islice(read_table(path, TEXT), 40_000)) == 40_000
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_columns_of_one_name_are_refused_in_parquet_by_training_too(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), pa.array([2])], names=["message", "n", "n"])
    parquet.write_table(table, path)
    for read in (lambda: list(read_table(path, TEXT)), lambda: read_file(path, DataConfig(train=path), TEXT)):
        with pytest.raises(InputError, match="several columns of the name 'n': message, n, n"):
            read()


def test_text_in_parquet_that_is_no_utf_8_is_refused_in_training_and_prediction(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["good", "zzzz"], "label": ["a", "b"]})
    parquet.write_table(table, path, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"zzzz", b"\xffzzz"))
    task = get_task("custom")
    with pytest.raises(InputError, match=r"Cannot read .*a\.parquet as parquet: .*Invalid UTF8"):
        list(read_table(path, task))
    with pytest.raises(InputError, match=r"Cannot read .*a\.parquet as parquet: .*Invalid UTF8"):
        read_file(path, DataConfig(train=path), task)
