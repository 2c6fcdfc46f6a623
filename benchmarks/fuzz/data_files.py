"""Data files: tables of labelled texts as CSV, TSV, JSON, parquet and lines, with something damaged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import parquet
from pydantic import ValidationError

from benchmarks.fuzz.case import Case, Expected, Target
from benchmarks.fuzz.damage import VALUES, damaged_bytes
from experiments.predict import read_records
from spt.data.config import DataConfig
from spt.data.loading import load_splits
from spt.data.reading.files import read_file
from spt.errors import InputError
from spt.tasks import Task, get_task

Row = dict[str, Any]
LABELS = st.lists(
    st.sampled_from(["good", "bad", "0", "1", "01", "no", "a b", "é", "1.0", "x" * 40]),
    min_size=2,
    max_size=3,
    unique=True,
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
OPTIONS = "options.json"
OTHER_OPTIONS: Mapping[str, list[Any]] = {
    "format": ["csv", "tsv", "json", "parquet", "lines"],
    "encoding": [
        "utf-16",
        "latin-1",
        "cp1252",
        "ascii",
        "utf-32",
        "utf-7",
        "shift_jis",
        "cp037",
        "rot13",
        "hex",
    ],
    "columns": [["text", "label"], ["a"], ["text", "text"], []],
    "quoting": [True, False],
    "train_size": [1, 2, 5, 10**9],
    "dev_size": [1, 3, 10**6],
    "shots_per_class": [1, 2, 50],
    "shots_total": [2, 7, 10**9],
}


def _delimited(rows: list[Row], delimiter: str) -> bytes:
    stream = io.StringIO(newline="")
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.writer(stream, delimiter=delimiter)
    writer.writerows(
        [names, *[["" if (v := row.get(name)) is None else v for name in names] for row in rows]]
    )
    return stream.getvalue().encode("utf-8", "surrogatepass")


def _json_lines(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _parquet(rows: list[Row]) -> bytes:
    """Write a table; a column of values of several types as text, as parquet has one type a column."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    arrays = {}
    for name, column in columns.items():
        try:
            arrays[name] = pa.array(column)
        except (pa.ArrowException, OverflowError, UnicodeError, TypeError, ValueError):
            arrays[name] = pa.array([ascii(value) for value in column])
    sink = io.BytesIO()
    parquet.write_table(pa.table(arrays), sink)
    return sink.getvalue()


WRITERS: Mapping[str, Callable[[list[Row]], bytes]] = {
    "rows.csv": lambda rows: _delimited(rows, ","),
    "rows.tsv": lambda rows: _delimited(rows, "\t"),
    "rows.jsonl": _json_lines,
    "rows.json": lambda rows: json.dumps(rows).encode(),
    "rows.parquet": _parquet,
}


@st.composite
def tables(draw: st.DrawFn, pairs: bool) -> list[Row]:
    """Draw rows of two or three classes with texts of their own, enough of each for every split."""
    labels = draw(LABELS)
    texts = draw(st.lists(TEXTS, min_size=6, max_size=6))
    rows: list[Row] = []
    for number in range(8 * len(labels)):
        row: Row = {"text": f"{texts[number % 6]} {number} film".replace("\t", " ").replace('"', "'").strip()}
        if pairs:
            row["second"] = (
                f"it is {texts[(number + 1) % 6]} {number}".replace("\t", " ").replace('"', "'").strip()
            )
        rows.append({**row, "label": labels[number % len(labels)]})
    return rows


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a data file with its options: whole, with a value, a row or a column damaged, or its bytes."""
    pairs = draw(st.booleans())
    rows = draw(tables(pairs))
    name = draw(st.sampled_from(sorted(WRITERS)))
    options: dict[str, Any] = {"pairs": pairs, "file": name, "data": {}}
    kind = draw(st.sampled_from(["whole", "value", "value", "row", "column", "option", "bytes"]))
    damage, expected = kind, "either"
    if kind == "whole":
        damage, expected = "nothing", "accepted"
    elif kind == "value":
        damage = _damage_value(draw, rows)
    elif kind == "row":
        damage = _damage_row(draw, rows)
    elif kind == "column":
        damage = _damage_column(draw, rows)
    elif kind == "option":
        damage = _damage_option(draw, options["data"])
    content = WRITERS[name](rows)
    if kind == "bytes":
        content, damage, _ = draw(damaged_bytes(content))
    how: Expected = "accepted" if expected == "accepted" else "either"
    return Case({name: content, OPTIONS: json.dumps(options).encode()}, f"{name}: {damage}", how)


def _damage_value(draw: st.DrawFn, rows: list[Row]) -> str:
    row = draw(st.sampled_from(rows))
    column = draw(st.sampled_from(sorted(row)))
    row[column] = draw(VALUES)
    return f"a value of {column}"


def _damage_row(draw: st.DrawFn, rows: list[Row]) -> str:
    at = draw(st.integers(0, len(rows) - 1))
    deed = draw(st.sampled_from(["gone", "twice", "empty", "all of its class gone", "a key more"]))
    if deed == "gone":
        rows.pop(at)
    elif deed == "twice":
        rows.insert(at, dict(rows[at]))
    elif deed == "empty":
        rows[at] = {}
    elif deed == "a key more":
        rows[at]["more"] = draw(VALUES)
    else:
        label = rows[at]["label"]
        rows[:] = [row for row in rows if row["label"] != label]
    return f"a row {deed}"


def _damage_column(draw: st.DrawFn, rows: list[Row]) -> str:
    column = draw(st.sampled_from(sorted(rows[0])))
    deed = draw(st.sampled_from(["gone", "renamed", "of one value", "of numbers"]))
    value = draw(VALUES)
    for number, row in enumerate(rows):
        old = row.pop(column)
        if deed == "renamed":
            row[f"{column} "] = old
        elif deed != "gone":
            row[column] = value if deed == "of one value" else number % 2
    return f"the column {column} {deed}"


def _damage_option(draw: st.DrawFn, options: dict[str, Any]) -> str:
    name = draw(st.sampled_from(sorted(OTHER_OPTIONS)))
    options[name] = draw(st.sampled_from(OTHER_OPTIONS[name]))
    return f"data.{name} is {options[name]}"


def _read_options(folder: Path) -> tuple[Path, Task, DataConfig]:
    options = json.loads((folder / OPTIONS).read_bytes())
    task = get_task("custom", text_pair="second") if options["pairs"] else get_task("custom")
    path = folder / options["file"]
    try:
        return path, task, DataConfig.model_validate({"train": path, **options["data"]})
    except ValidationError as error:
        raise InputError(str(error)) from error


def _first_check(folder: Path) -> None:
    path, task, data = _read_options(folder)
    read_file(path, data, task)


def _use(folder: Path) -> None:
    """Split a file for a training, and read its texts for prediction."""
    path, task, data = _read_options(folder)
    problem: InputError | None = None
    try:
        load_splits(task, data, seed=0)
    except InputError as error:
        problem = error
    for record in read_records(path, task):
        if record.texts is not None and not all(record.texts):
            raise AssertionError("an empty text is to be answered")
    if problem is not None:
        raise problem


TARGET = Target("data files", cases, _first_check, _use)
