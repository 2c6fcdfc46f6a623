"""`spt init`: what it sees of files with the quirks of exports, and a config that runs as it is."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset
from typer.testing import CliRunner

from experiments.cli import app
from experiments.config import load_config
from experiments.own_data import config_file
from experiments.own_data.config_file import write_config
from experiments.own_data.roles import guess_roles
from experiments.own_data.survey import survey
from experiments.run.data_report import report_data
from spt.errors import InputError
from tests.support.tickets import ROWS, make_tickets
from tests.support.tiny import make_data


def test_a_line_that_begins_with_quotes_inside_a_field_hides_no_delimiter(tmp_path: Path) -> None:
    file = tmp_path / "tickets.csv"
    rows = [f"{'ab'[row % 2]};text {row}" for row in range(40)]
    file.write_text("\n".join(["label;text", *rows, 'a;"said\n"""', ""]), encoding="utf-8")
    assert survey(file).delimiter == ";"


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_tickets_give_a_config_whose_data_have_no_problem(tmp_path: Path, delimiter: str) -> None:
    file, output = make_tickets(tmp_path / "tickets.csv", delimiter), tmp_path / "config.yml"
    seen = "\n".join(write_config(file, output))
    config = load_config(output)
    assert (config.name, config.task.text, config.task.label) == ("tickets", "message", "team")
    assert config.data.train == file and config.data.incomplete == "drop"
    report = report_data(config)
    assert report.problems == ()
    # an empty message is left out, and repeated rows may be
    assert sum(split.rows for split in report.splits.values()) == ROWS - 1
    for said in ("byte order mark", "legal (1)", "spaces around them", "missing in 1 rows", "date", "id"):
        assert said in seen
    # short, and each choice has a word about it
    lines = output.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 25 and sum("  # " in line for line in lines) >= 5


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_lists_of_labels_give_a_task_of_several_labels(tmp_path: Path, ending: str) -> None:
    rows: list[dict[str, Any]] = [
        {"text": f"row {n} of them", "tags": [["late", "parcel"], ["refund"], []][n % 3]} for n in range(60)
    ]
    file = tmp_path / f"tickets.{ending}"
    if ending == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, ["text", "tags"])
            writer.writeheader()
            writer.writerows({**row, "tags": json.dumps(row["tags"])} for row in rows)
    seen = "\n".join(write_config(file, tmp_path / "config.yml"))
    assert "3 classes: late 20, parcel 20, refund 20" in seen
    config = load_config(tmp_path / "config.yml")
    assert config.task.multi_label and config.task.label == "tags" and config.task.metric == "macro_f1"
    report = report_data(config)
    assert report.problems == () and set(report.splits["train"].classes) == {"late", "parcel", "refund"}


def test_lists_that_are_taken_for_classes_are_told(tmp_path: Path) -> None:
    file = tmp_path / "tickets.csv"
    lines = "".join(f'row {n},"[""a"", ""{"bc"[n % 2]}""]"\n' for n in range(40))
    file.write_text(f"text,tags\n{lines}", encoding="utf-8")
    write_config(file, tmp_path / "config.yml", {"task.multi_label": False})
    (note,) = [note for note in report_data(load_config(tmp_path / "config.yml")).notes if "lists" in note]
    assert "taken for the name of one class, in 40 rows: 1, 2" in note and "task.multi_label" in note


ROLES: dict[str, tuple[list[dict[str, Any]], tuple[str, str | None, str]]] = {
    "names": (
        [{"review": f"a film of {n} parts", "stars": n % 3, "genre": "ab"[n % 2]} for n in range(30)],
        ("review", None, "stars"),
    ),
    "values alone": (
        [{"a": "xy"[n % 2], "b": f"some words of row {n}", "c": f"k{n}"} for n in range(30)],
        ("b", None, "a"),
    ),
    "pairs": (
        [
            {"premise": f"it rains {n}", "hypothesis": f"the street {n} is wet", "gold": n % 3}
            for n in range(30)
        ],
        ("premise", "hypothesis", "gold"),
    ),
    "few texts that repeat": (
        [{"label": n % 2, "text": ["good", "or", "bad"][n % 2 * 2] + " film"} for n in range(30)],
        ("text", None, "label"),
    ),
}


@pytest.mark.parametrize("case", ROLES)
def test_columns_are_known_by_their_names_and_values(tmp_path: Path, case: str) -> None:
    rows, expected = ROLES[case]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    roles = guess_roles(survey(path))
    assert (roles.text, roles.text_pair, roles.label) == expected


def test_parquet_and_tsv_are_read_too(tmp_path: Path) -> None:
    rows = {"text": [f"row {n} here" for n in range(30)], "label": [n % 2 for n in range(30)]}
    Dataset.from_dict(rows).to_parquet(tmp_path / "rows.parquet")
    lines = ["text\tlabel", *(f'the "{n}" of 3\t{n % 2}' for n in range(30))]
    (tmp_path / "rows.tsv").write_text("\n".join(lines), encoding="utf-8")
    for name in ("rows.parquet", "rows.tsv"):
        write_config(tmp_path / name, tmp_path / "config.yml", force=True)
        assert report_data(load_config(tmp_path / "config.yml")).problems == ()


def test_other_encodings_are_found(tmp_path: Path) -> None:
    for encoding in ("cp1252", "utf-16"):
        file = tmp_path / f"{encoding}.csv"
        with file.open("w", encoding=encoding, newline="") as stream:
            csv.writer(stream).writerows(
                [("text", "label"), *((f"café {n} très bon", "ab"[n % 2]) for n in range(30))]
            )
        write_config(file, tmp_path / "config.yml", force=True)
        config = load_config(tmp_path / "config.yml")
        assert config.data.encoding == encoding
        texts = report_data(config).splits["train"].texts
        assert all("café" in text for (text,) in texts)


def test_a_file_without_a_header_gets_names_by_number(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows((f"text number {n}", "ab"[n % 2]) for n in range(30))
    write_config(file, tmp_path / "config.yml")
    config = load_config(tmp_path / "config.yml")
    assert config.data.columns == ("column 1", "column 2") and config.task.label == "column 2"
    assert sum(split.rows for split in report_data(config).splits.values()) == 30


@pytest.mark.parametrize("more", [("text", "a"), ("text", "label")])
def test_a_header_that_a_text_or_a_row_repeats_is_still_one(tmp_path: Path, more: tuple[str, str]) -> None:
    file = tmp_path / "rows.csv"
    rows = [("text", "label"), *((f"text number {n}", "ab"[n % 2]) for n in range(60)), more]
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    seen = survey(file)
    assert seen.has_header and [column.name for column in seen.columns] == ["text", "label"]
    assert seen.rows == 61


def test_names_and_classes_of_any_characters_give_a_config_that_is_read(tmp_path: Path) -> None:
    text, label = "Feedback\n(free text)", "the\u2028team\x07"
    file, output = tmp_path / "a\nform.csv", tmp_path / "config.yml"
    rows = [
        (text, label),
        *((f"words of text {n}" if n else "", ["a\x07\n#", "b"][n % 2]) for n in range(60)),
    ]
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    assert len(write_config(file, output)) == len(rows[0]) + 1
    config = load_config(output)
    assert (config.task.text, config.task.label, config.data.train) == (text, label, file)
    assert "# without Feedback (free text): 1, without the team: 0;" in output.read_text(encoding="utf-8")


def test_what_would_not_be_read_back_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, output = make_tickets(tmp_path / "tickets.csv"), tmp_path / "config.yml"
    for line, said in (("name: other", "other values"), ("\x07", "special characters")):
        monkeypatch.setattr(config_file, "_lines", lambda *_, line=line: [line])
        with pytest.raises(InputError, match=f"config for '.*tickets.csv' could not be read.*{said}"):
            write_config(file, output)
    assert not output.exists()


LINES = [f"words of number {n}" for n in range(60)]


@pytest.mark.parametrize(
    ("header", "classes"),
    [
        ("text,spam", ("spam", "ham")),
        ("comment,toxic", ("toxic", "ok")),
        ("msg,spam", ("spam", "ham")),
        ("spam,msg", ("spam", "ham")),
    ],
)
def test_a_column_of_labels_may_be_called_like_one_of_them(
    tmp_path: Path, header: str, classes: tuple[str, str]
) -> None:
    label_first = header.startswith(classes[0])
    rows = [(classes[n % 2], line) if label_first else (line, classes[n % 2]) for n, line in enumerate(LINES)]
    file = tmp_path / "rows.csv"
    file.write_text("\n".join([header, *map(",".join, rows)]), encoding="utf-8")
    seen = survey(file)
    assert seen.has_header and ",".join(column.name for column in seen.columns) == header
    assert seen.rows == len(LINES)


@pytest.mark.parametrize(
    ("first", "others"),
    [
        ("ham,Go until jurong point; crazy..", ("ham,{}", "spam,{}")),
        ("spam,Hello", ("ham,{}", "spam,Ok")),
        ("1,text of some words", ("0,{}", "1,{}")),
        ("1,Hello", ("0,{}", "1,{}")),
        ("en,ham,Hello", ("en,ham,{}", "de,spam,{}")),
    ],
)
def test_a_first_row_of_a_class_and_a_text_is_no_header(
    tmp_path: Path, first: str, others: tuple[str, str]
) -> None:
    file = tmp_path / "rows.csv"
    rows = [others[n % 2].format(line) for n, line in enumerate(LINES)]
    file.write_text("\n".join([first, *rows]), encoding="utf-8")
    seen = survey(file)
    assert not seen.has_header and seen.rows == len(LINES) + 1


def test_dev_and_test_beside_train_are_taken(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        make_tickets(tmp_path / f"{name}.csv")
    write_config(tmp_path / "train.csv", tmp_path / "config.yml")
    data = load_config(tmp_path / "config.yml").data
    assert (data.dev, data.test) == (tmp_path / "dev.csv", tmp_path / "test.csv")


def test_paths_start_from_the_configs_folder_and_overrides_are_written(tmp_path: Path) -> None:
    file = make_tickets(tmp_path / "tickets.csv")
    (tmp_path / "configs").mkdir()
    output = tmp_path / "configs" / "my.yml"
    result = CliRunner().invoke(app, ["init", str(file), "-o", str(output), "search.k=3", "task.label=date"])
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(output.read_text(encoding="utf-8"))["data"]["train"] == "../tickets.csv"
    config = load_config(output)
    assert config.search.k == 3 and config.task.label == "date" and config.data.train == file


def test_the_commands_that_come_next_can_be_pasted(tmp_path: Path) -> None:
    output = tmp_path / "ü -x [1].yml"
    result = CliRunner().invoke(app, ["init", str(make_tickets(tmp_path / "t.csv")), "-o", str(output)])
    commands = [shlex.split(part) for part in result.stdout.split("`") if part.startswith("spt")]
    assert commands == [["spt", "check", str(output)], ["spt", "run", str(output)]]


def test_a_config_is_not_written_over_without_force(tmp_path: Path) -> None:
    file, output = make_tickets(tmp_path / "tickets.csv"), tmp_path / "config.yml"
    output.write_text("mine", encoding="utf-8")
    result = CliRunner().invoke(app, ["init", str(file), "--output", str(output)])
    assert result.exit_code == 2 and "--force" in result.stderr
    assert output.read_text(encoding="utf-8") == "mine"
    assert CliRunner().invoke(app, ["init", str(file), "--output", str(output), "--force"]).exit_code == 0


BAD: dict[str, tuple[str, str]] = {
    "none.txt": ("a", "Known endings"),
    "none.csv": ("", "has no rows"),
    "header.csv": ("text,label\n", "has no rows"),
    "twice.csv": ("text,label,text\na b,1,c\n", "several columns of the name 'text'.* Rename or remove"),
    "excel.csv": ("sep=;\r\ntext;label\r\na b;1\r\n", "'sep=;', which tells Excel .* Remove this line"),
    "quoted.csv": ('"sep=,"\ntext,label\na b,1\n', "Remove this line"),
    "tabs.tsv": ("sep=\t\ntext\tlabel\na b\t1\n", "Remove this line"),
    "uneven.csv": ("text,label\na b,1\nc d,1,2\n", "Row 2 of"),
    "numbers.csv": ("\n".join(["x,y", *(f"{n},{n}" for n in range(30))]), "looks like a text"),
    "texts.csv": ("\n".join(["x", *(f"row {n}" for n in range(30))]), "looks like a label"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_guessed_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    text, said = BAD[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        write_config(tmp_path / name, tmp_path / "config.yml")
    assert not (tmp_path / "config.yml").exists()


def test_an_unknown_column_or_key_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    file = make_tickets(tmp_path / "tickets.csv")
    for overrides, said in (
        ({"task.label": "tam"}, "has the columns id, message"),
        ({"serch.k": 2}, "serch"),
    ):
        with pytest.raises(InputError, match=said):
            write_config(file, tmp_path / "config.yml", overrides)
    assert not (tmp_path / "config.yml").exists()


@pytest.mark.parametrize(
    ("rows", "multi_label", "training"),
    [
        # a tenth each is held out for dev and test, at most 500
        (250, False, {"contrastive_steps": 25}),
        (250, True, {"epochs": 20, "patience": 20, "batch_size": 16}),
        (500, False, {"epochs": 20, "patience": 20, "batch_size": 16}),
        (501, False, {"batch_size": 16}),
        (6001, False, None),
    ],
)
def test_rows_get_a_training_that_suits_them(
    tmp_path: Path, rows: int, multi_label: bool, training: dict[str, int] | None
) -> None:
    labels = [["a"], ["a", "b"]] if multi_label else ["a", "b"]
    lines = [json.dumps({"text": f"text {number}", "label": labels[number % 2]}) for number in range(rows)]
    # what repeats, or lacks a label, is not trained on
    lines += lines[:300]
    lines += [json.dumps({"text": f"other {number}", "label": None}) for number in range(300)]
    (tmp_path / "few.jsonl").write_text("\n".join(lines), encoding="utf-8")
    write_config(tmp_path / "few.jsonl", tmp_path / "config.yml")
    tree = yaml.safe_load((tmp_path / "config.yml").read_text(encoding="utf-8"))
    assert tree.get("training") == training


@pytest.mark.parametrize(
    ("sizes", "training"),
    [
        ({"data.shots_per_class": 20}, {"contrastive_steps": 25}),
        ({"data.shots_per_class": 101}, {"epochs": 20, "patience": 20, "batch_size": 16}),
        ({"data.shots_total": 200, "data.dev_size": 50}, {"contrastive_steps": 25}),
        ({"data.train_size": 200}, {"contrastive_steps": 25}),
    ],
)
def test_a_training_suits_the_rows_that_are_drawn(
    tmp_path: Path, sizes: dict[str, int], training: dict[str, int]
) -> None:
    write_config(make_data(tmp_path / "many.csv", 700), tmp_path / "config.yml", sizes)
    assert yaml.safe_load((tmp_path / "config.yml").read_text(encoding="utf-8"))["training"] == training


@pytest.mark.parametrize(
    ("overrides", "training"),
    [
        ({"training.epochs": 3}, {"epochs": 3}),
        ({"training.warmup": 0.1}, {"warmup": 0.1, "contrastive_steps": 25}),
        (
            {"head.kind": "verbalizer", "task.label_words": ["bad", "good"]},
            {"epochs": 20, "patience": 20, "batch_size": 16},
        ),
    ],
)
def test_a_training_suits_what_is_asked_for(
    tmp_path: Path, overrides: dict[str, Any], training: dict[str, float]
) -> None:
    file = make_data(tmp_path / "few.csv", 120)
    write_config(file, tmp_path / "config.yml", overrides)
    tree = yaml.safe_load((tmp_path / "config.yml").read_text(encoding="utf-8"))
    assert tree["training"] == training
