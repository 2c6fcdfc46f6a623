"""`spt predict --output`: the records of a file with their answers, in the format of an ending."""

from __future__ import annotations

import csv
import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from typer.testing import CliRunner

from experiments import predict
from experiments.cli import app
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier, predictions
from tests.support.classifiers import classifier

WORDS = ["it was superb", 'the plot was dull; "very", very poor .', "fine", "awful, awful film", "great"]
ROWS = [{"id": str(row), "text": text, "team": f"t{row % 2}"} for row, text in enumerate(WORDS)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("model")
    classifier(home, (1, 2)).save_pretrained(home / "model")
    return home / "model"


def spt(*arguments: object, given: str | None = None) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(part) for part in arguments], input=given)


def written(path: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> Path:
    if path.suffix == ".parquet":
        Dataset.from_list(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        delimiter = "\t" if path.suffix == ".tsv" else delimiter
        plain = {"quoting": csv.QUOTE_NONE, "quotechar": None} if path.suffix == ".tsv" else {}
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, **plain)
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(path: Path, delimiter: str = ",") -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(Dataset.from_parquet(str(path), keep_in_memory=True))
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    tab = path.suffix == ".tsv"
    quoting = csv.QUOTE_NONE if tab else csv.QUOTE_MINIMAL
    return list(csv.DictReader(text.splitlines(), delimiter="\t" if tab else delimiter, quoting=quoting))


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("of", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_becomes_every_other_with_its_columns_and_answers(
    model: Path, tmp_path: Path, of: str, ending: str
) -> None:
    file, output = written(tmp_path / f"in.{of}", ROWS), tmp_path / f"out.{ending}"
    result = spt("predict", model, file, "--output", output, "--all")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    loaded = PromptClassifier.from_pretrained(model)
    chances = loaded.predict_proba(WORDS)
    rows = read(output)
    assert [list(row) for row in rows] == [
        [*ROWS[0], "label", "probability", "probability_bad", "probability_good"]
    ] * len(ROWS)
    for row, given, answer, both in zip(rows, ROWS, predictions(loaded.spec, chances), chances, strict=True):
        assert {name: row[name] for name in given} == given
        assert row["label"] == answer.label
        assert float(row["probability"]) == pytest.approx(answer.probability, abs=1e-6)
        assert [float(row[f"probability_{label}"]) for label in ("bad", "good")] == pytest.approx(
            both.tolist(), abs=1e-6
        )


def test_a_file_of_semicolons_stays_one_and_is_told(model: Path, tmp_path: Path) -> None:
    file, output = written(tmp_path / "in.csv", ROWS, ";"), tmp_path / "out.csv"
    result = spt("predict", model, file, "-o", output)
    assert result.exit_code == 0, result.output
    assert [row["text"] for row in read(output, ";")] == WORDS


def test_texts_of_lines_become_a_table(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.tsv"
    assert spt("predict", model, "-o", output, given="\n".join(WORDS)).exit_code == 0
    rows = read(output)
    assert [list(row) for row in rows] == [["text", "label", "probability"]] * len(WORDS)
    assert [row["text"] for row in rows] == WORDS


def test_answers_are_in_order_over_chunks(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"n": number, "text": "very " * (number * 7 % 11) + "fine"} for number in range(23)]
    file = written(tmp_path / "in.jsonl", rows)
    assert spt("predict", model, file, "-o", tmp_path / "whole.jsonl").exit_code == 0
    monkeypatch.setattr(predict, "CHUNK", 4)
    assert spt("predict", model, file, "-o", tmp_path / "parts.jsonl").exit_code == 0
    whole, parts = read(tmp_path / "whole.jsonl"), read(tmp_path / "parts.jsonl")
    assert [row["n"] for row in parts] == list(range(23))
    assert [row["label"] for row in parts] == [row["label"] for row in whole]
    assert [row["probability"] for row in parts] == pytest.approx([row["probability"] for row in whole])


def test_a_field_without_text_in_a_file_of_one_column_is_a_record(model: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "in.csv", [{"text": text} for text in ("great", "", "fine")])
    file.write_text(file.read_text(encoding="utf-8") + "\n \n", encoding="utf-8")
    result = spt("predict", model, file, "--quiet")
    assert result.exit_code == 0, result.output
    answers = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert [answer["label"] is None for answer in answers] == [False, True, False]


def test_columns_of_answers_keep_their_types_where_the_first_part_has_none(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "CHUNK", 2)
    file = written(tmp_path / "in.jsonl", [{"text": text} for text in (" ", " ", "great")])
    result = spt("predict", model, file, "-o", tmp_path / "out.parquet", "--all")
    assert result.exit_code == 0, result.output
    *without, last = read(tmp_path / "out.parquet")
    assert [row["label"] for row in without] == [None, None]
    assert last["label"] in ("bad", "good") and last["probability_good"] + last[
        "probability_bad"
    ] == pytest.approx(1)


def test_a_field_may_be_long(model: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "in.csv", [{"text": "fine " * 30_000}, {"text": "great"}])
    result = spt("predict", model, file, "-o", tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    assert "".join(row["label"] for row in read(tmp_path / "out.csv"))


def test_the_speed_is_told_unless_quiet(model: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "in.csv", ROWS)
    loud = spt("predict", model, file)
    assert "5 records in" in loud.stderr and "a second" in loud.stderr
    quiet = spt("predict", model, file, "--quiet")
    assert quiet.stdout == loud.stdout
    assert "records" not in quiet.stderr


def test_printed_answers_have_every_class_too(model: Path) -> None:
    (line,) = spt("predict", model, "--all", given="fine").stdout.splitlines()
    answer = json.loads(line)
    assert list(answer) == ["label", "probability", "probability_bad", "probability_good"]
    assert answer["probability_bad"] + answer["probability_good"] == pytest.approx(1)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_names_that_clash_are_refused_and_a_prefix_parts_them(
    model: Path, tmp_path: Path, ending: str
) -> None:
    rows: list[dict[str, Any]] = [{**row, "label": "good"} for row in ROWS]
    if ending == "jsonl":
        del rows[0]["label"]
    file, output = written(tmp_path / f"in.{ending}", rows), tmp_path / f"out.{ending}"
    refused = spt("predict", model, file, "-o", output)
    assert refused.exit_code == 2
    assert f"Row {2 if ending == 'jsonl' else 1} of {file} has 'label' already" in refused.stderr
    assert not output.exists() and list(tmp_path.iterdir()) == [file]
    assert spt("predict", model, file, "-o", output, "--prefix", "predicted_").exit_code == 0
    assert list(read(output)[1])[-3:] == ["label", "predicted_label", "predicted_probability"]


def test_a_record_that_cannot_be_read_leaves_the_output_as_it_was(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "CHUNK", 2)
    file, output = written(tmp_path / "in.jsonl", [*ROWS, {**ROWS[0], "text": 3}]), tmp_path / "out.csv"
    output.write_text("before", encoding="utf-8")
    result = spt("predict", model, file, "-o", output)
    assert result.exit_code == 2 and "a value of type int in row 6" in result.stderr
    assert output.read_text(encoding="utf-8") == "before"
    assert sorted(tmp_path.iterdir()) == [file, output]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_a_record_without_a_text_is_kept_without_an_answer_and_counted(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ending: str,
) -> None:
    whole, gaps = tmp_path / f"whole.{ending}", tmp_path / f"gaps.{ending}"
    assert spt("predict", model, written(tmp_path / "in.csv", ROWS), "-o", whole, "--all").exit_code == 0
    monkeypatch.setattr(predict, "CHUNK", 2)
    blank = {**ROWS[0], "text": " "}
    file = written(tmp_path / "in.jsonl", [*ROWS[:2], blank, {**blank, "text": None}, blank, *ROWS[2:]])
    result = spt("predict", model, file, "-o", gaps, "--all")
    assert result.exit_code == 0, result.output
    assert caplog.messages == [f"{file}: 3 without a text, and so without an answer: row 3, 4, 5"]
    rows = read(gaps)
    nothing = "" if ending in ("csv", "tsv") else None
    for row in rows[2:5]:
        added = ("label", "probability", "probability_bad", "probability_good")
        assert [row[name] for name in added] == [nothing] * 4 and row["id"] == "0"
    assert [row["label"] for row in [*rows[:2], *rows[5:]]] == [row["label"] for row in read(whole)]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (1, "holds no answer in row 2"),
        (
            3,
            "Counting from 1 the texts that the records 4 to 4 of {file} have: it",
        ),
    ],
)
def test_an_error_of_a_text_is_placed_in_the_file(
    bad: int, said: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: object, texts: list[str], *_: object) -> Any:
        rows = [row for row, text in enumerate(texts, 1) if text == "bad"]
        if rows:
            raise InputError(f"it holds no answer in row {rows[0]}")
        return np.full((len(texts), 2), 0.5)

    monkeypatch.setattr(predict, "CHUNK", 2)
    monkeypatch.setattr(PromptClassifier, "predict_proba", refuse)
    texts = ["fine", "fine", "", "fine"]
    texts[bad] = "bad"
    file = written(tmp_path / "in.csv", [{"text": text, "id": "0"} for text in texts])
    result = spt("predict", model, file)
    assert result.exit_code == 2 and said.format(file=file) in result.output.replace("\n", " ")


def test_a_line_without_a_text_has_a_line_without_an_answer(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = spt("predict", model, given="fine\n\nfine\n")
    first, empty, last = map(json.loads, result.stdout.splitlines())
    assert empty == {"label": None, "probability": None} and first == last
    assert len(caplog.messages) == 1 and "1 without a text" in caplog.text
    caplog.clear()
    assert spt("predict", model, "--quiet", given="\n").exit_code == 0 and caplog.messages == []


def test_outputs_that_cannot_be_are_refused_before_a_model_is_read(tmp_path: Path) -> None:
    file = written(tmp_path / "in.csv", ROWS)
    for output, said in [
        ("out.txt", "'.txt', but must be one of"),
        ("none/out.csv", "There is no folder"),
        ("in.csv", "is the file that is read"),
    ]:
        result = spt("predict", tmp_path / "no-model", file, "-o", tmp_path / output)
        assert result.exit_code == 2 and said in result.stderr
    missing = spt("predict", tmp_path / "no-model", tmp_path / "none.csv")
    assert missing.exit_code == 2 and "There is no file" in missing.stderr


def test_a_pipe_is_read_by_its_lines(model: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_text, args=("fine\nawful\n",), daemon=True).start()
    result = spt("predict", model, pipe)
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 2


def test_what_is_neither_a_file_nor_a_pipe_of_lines_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("pipe.csv", "."):
        result = spt("predict", tmp_path / "no-model", tmp_path / name)
        assert result.exit_code == 2 and "is no file, and no pipe of lines" in result.stderr


@pytest.mark.parametrize("name", ["pipe", "link.csv"])
def test_answers_do_not_take_the_place_of_a_pipe(tmp_path: Path, name: str) -> None:
    file, pipe, link = written(tmp_path / "in.csv", ROWS), tmp_path / "pipe", tmp_path / "link.csv"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    result = spt("predict", tmp_path / "no-model", file, "-o", tmp_path / name)
    assert result.exit_code == 2 and "--output to print the answers" in result.stderr.replace("\n", " ")
    assert pipe.is_fifo() and link.is_symlink()


def test_votes_have_no_probability_of_each_class(model: Path) -> None:
    result = spt("predict", model, "--ensemble", model, "--all", given="fine")
    assert result.exit_code == 2 and "Leave out --all, or --ensemble" in result.stderr


def test_a_header_is_never_answered(model: Path) -> None:
    result = spt("predict", model, given="text,label\nfine,good\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Line 1 is the header of a table" in result.stderr


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_texts_below_the_threshold_get_no_label(model: Path, tmp_path: Path, ending: str) -> None:
    file, output = written(tmp_path / "in.csv", ROWS), tmp_path / f"out.{ending}"
    assert spt("predict", model, file, "-o", output, "--threshold", 1).exit_code == 0
    rows = read(output)
    assert [row["label"] for row in rows] == ["" if ending == "csv" else None] * len(ROWS)
    assert all(0 < float(row["probability"]) < 1 for row in rows)
    refused = spt("predict", model, file, "--threshold", 2)
    assert refused.exit_code == 2 and "threshold is 2" in refused.stderr
