"""`spt evaluate MODEL --on FILE`: scores of a saved prompt on another file, by rows and by classes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_recall_fscore_support
from typer.testing import CliRunner

from experiments.cli import app
from experiments.evaluate import evaluate_on
from experiments.pipeline import run
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from tests.support.classifiers import classifier
from tests.support.killed import dead_process, replaced_name
from tests.support.runs import tiny_config

TEXTS = ["it was superb", "the plot was dull", "fine", "awful film", "great", "poor plot", "lovely", "it was"]
LABELS = ["good", "bad", "bad", "bad", "good", "good", "good", "bad"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("model")
    classifier(home, (1, 2)).save_pretrained(home / "model")
    return home / "model"


def spt(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(part) for part in arguments])


def written(path: Path, header: str = "text,label", labels: list[str] = LABELS, delimiter: str = ",") -> Path:
    lines = [f"{text},{label}" for text, label in zip(TEXTS, labels, strict=True)]
    path.write_text("\n".join([header, *lines]).replace(",", delimiter) + "\n", encoding="utf-8")
    return path


def test_the_prompt_of_a_run_whose_writer_was_killed_is_put_back(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "run" / replaced_name("model", dead_process()))
    result = spt("evaluate", tmp_path / "run", "--on", written(tmp_path / "labelled.csv"), "--json")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["model"]


def test_a_model_without_a_file_is_asked_for_one(model: Path) -> None:
    result = spt("evaluate", model)
    assert result.exit_code == 2
    assert f"'{model}' is a folder, but without --on" in result.stderr
    assert "Add --on FILE" in result.stderr


def test_all_is_told_as_json_by_the_names_of_metrics(model: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "labelled.csv")
    result = spt("evaluate", model, "--on", file, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    loaded = PromptClassifier.from_pretrained(model)
    expected = loaded.evaluate(TEXTS, LABELS)
    assert {name: told[name] for name in expected} == pytest.approx(expected)
    given = np.array([("bad", "good").index(label) for label in LABELS])
    answers = loaded.predict_proba(TEXTS).argmax(-1)
    assert told["test_macro_f1"] == pytest.approx(f1_score(given, answers, average="macro"))
    assert told["test_weighted_f1"] == pytest.approx(f1_score(given, answers, average="weighted"))
    wilson = binomtest(int((given == answers).sum()), 8).proportion_ci(method="wilson")
    assert told["intervals"]["test_accuracy"] == pytest.approx([wilson.low, wilson.high])
    columns = precision_recall_fscore_support(given, answers, labels=[0, 1], zero_division=0.0)
    for number, one in enumerate(told["classes"]):
        assert one.pop("label") == ("bad", "good")[number]
        assert list(one.values()) == pytest.approx([float(column[number]) for column in columns])
    assert (told["model"], told["file"], told["test_size"]) == (str(model), str(file), 8)


def test_people_get_tables(model: Path, tmp_path: Path) -> None:
    result = spt("evaluate", model, "--on", written(tmp_path / "labelled.csv"))
    assert result.exit_code == 0, result.output
    for part in ("accuracy", "95 % interval over rows", "macro F1", "weighted F1", "precision", "recall"):
        assert part in result.stdout
    assert spt("evaluate", model, "--on", tmp_path / "labelled.csv", "--quiet").stdout == ""


def test_the_metric_of_the_task_has_its_interval_whatever_it_is(tmp_path: Path) -> None:
    file = written(tmp_path / "labelled.csv")
    for name, metric in (("macro F1", "macro_f1"), ("weighted F1", "weighted_f1")):
        classifier(tmp_path, (1,), task={"metric": metric}).save_pretrained(tmp_path / metric)
        lines = spt("evaluate", tmp_path / metric, "--on", file).stdout.splitlines()
        (line,) = (line for line in lines if name in line)
        assert "95 % interval" in line


def test_a_score_that_is_the_same_without_any_rows_has_no_interval(tmp_path: Path) -> None:
    made = classifier(tmp_path, (1,), task={"metric": "weighted_f1"})
    made.save_pretrained(tmp_path / "model")
    labels = [answer.label for answer in made.predict(TEXTS)]
    file = written(tmp_path / "labelled.csv", labels=labels)
    assert "100.0 % (no interval: it is the same" in spt("evaluate", tmp_path / "model", "--on", file).stdout
    told = json.loads(spt("evaluate", tmp_path / "model", "--on", file, "--json").stdout)
    assert told["intervals"]["test_metric"] is None
    low, high = told["intervals"]["test_accuracy"]
    assert 0.6 < low < high == 1


def test_a_run_folder_stands_for_its_model(tmp_path: Path) -> None:
    config = tiny_config(
        tmp_path, search={"strategy": "manual", "manual_layers": [1]}, training={"epochs": 1}
    )
    metrics = run(config, tmp_path / "run")
    file = written(tmp_path / "labelled.csv")
    told = [
        json.loads(spt("evaluate", folder, "--on", file, "--json").stdout)
        for folder in (tmp_path / "run", tmp_path / "run" / "model")
    ]
    assert told[0].pop("model") != told[1].pop("model")
    assert told[0] == told[1]
    assert told[0]["metric"] == metrics.metric


def test_columns_and_reading_are_keys(model: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "labelled.csv", "message;team", delimiter=";")
    result = spt("evaluate", model, "--on", file, "--json", "task.text=message", "task.label=team")
    assert result.exit_code == 0, result.output
    bare = tmp_path / "bare.csv"
    bare.write_text(file.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")
    keys = ["data.columns=[text, label]", "data.delimiter=';'"]
    same = spt("evaluate", model, "--on", bare, "--json", *keys)
    assert json.loads(same.stdout)["classes"] == json.loads(result.stdout)["classes"]


def test_rows_without_a_text_are_refused_or_left_out(model: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "labelled.csv")
    file.write_text(file.read_text(encoding="utf-8") + ",good\n", encoding="utf-8")
    refused = spt("evaluate", model, "--on", file)
    assert refused.exit_code == 2
    assert "is empty in row 9" in refused.stderr and "data.incomplete to drop" in refused.stderr
    scored = spt("evaluate", model, "--on", file, "data.incomplete=drop", "--json")
    assert scored.exit_code == 0 and json.loads(scored.stdout)["test_size"] == 8


def test_rows_are_counted_in_the_file_where_some_are_left_out(model: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": "a", "label": "bad"} for _ in range(5)]
    rows[1]["text"] = None
    for column, value, said in (
        ("label", "odd", "the label 'odd' (row 5)"),
        ("text", 3, "The text column 'text' of the file holds a value of type int in row 5"),
    ):
        changed = [*rows[:4], {**rows[4], column: value}]
        file = tmp_path / "labelled.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in changed), encoding="utf-8")
        result = spt("evaluate", model, "--on", file, "data.incomplete=drop")
        assert result.exit_code == 2 and said in result.stderr


def test_rows_without_a_text_are_left_out_where_the_models_run_left_them_out(
    model: Path, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "run" / "model")
    config = tiny_config(tmp_path, data={"incomplete": "drop"})
    stored = yaml.safe_dump({"run": config.model_dump(mode="json")})
    (tmp_path / "run" / "config.yml").write_text(stored, encoding="utf-8")
    file = written(tmp_path / "labelled.csv")
    file.write_text(file.read_text(encoding="utf-8") + ",good\n", encoding="utf-8")
    for folder in (tmp_path / "run", tmp_path / "run" / "model"):
        scored = spt("evaluate", folder, "--on", file, "--json")
        assert scored.exit_code == 0 and json.loads(scored.stdout)["test_size"] == 8
    refused = spt("evaluate", tmp_path / "run", "--on", file, "data.incomplete=refuse")
    assert refused.exit_code == 2 and "is empty in row 9" in refused.stderr


@pytest.mark.parametrize(
    ("labels", "header", "keys", "said"),
    [
        (
            ["good", "great", *LABELS[2:7], "dull"],
            "text,label",
            [],
            "'great', 'dull' (2 rows: 2, 8). Its labels: bad, good",
        ),
        (["good", "", *LABELS[2:]], "text,label", [], "is empty in row 2"),
        (LABELS, "text,team", [], "Unknown column 'label'"),
        (LABELS, "text,label", ["search.k=2"], "'search.k'"),
        (LABELS, "text,label", ["data.encoding=rot13"], "encoding"),
        (LABELS, "text,label", ["task.label=3"], "task.label is 3, but must be the name of a column"),
        (LABELS, "text,label", ["task.text_pair=b"], "reads one text a row"),
        (LABELS, "text,label", ["task.text=label"], "the column 'label' has two meanings (text = 'label', "),
        (LABELS, "text,label", ["task.label=''"], "task.label is '', but must be the name of a column"),
        (LABELS, "text,label", ["task.label_delimiter=;"], "is ';', but the prompt gives one label a row"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    model: Path, tmp_path: Path, labels: list[str], header: str, keys: list[str], said: str
) -> None:
    result = spt("evaluate", model, "--on", written(tmp_path / "labelled.csv", header, labels), *keys)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_positions_are_read_as_the_run_reads_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    numbers = [str(("bad", "good").index(label)) for label in LABELS]
    test = written(tmp_path / "test.csv", labels=numbers)
    config = tiny_config(
        tmp_path,
        task={"labels": ["bad", "good"]},
        data={"test": str(test), "test_size": None},
        search={"strategy": "manual", "manual_layers": [1]},
        training={"epochs": 1},
    )
    metrics = run(config, tmp_path / "run")
    result = spt("evaluate", tmp_path / "run", "--on", test, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["test_metric"] == pytest.approx(metrics.test_metric)
    assert "read as positions among the prompt's: 0 is 'bad', 1 is 'good'" in caplog.text


def test_names_are_no_positions(model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert spt("evaluate", model, "--on", written(tmp_path / "labelled.csv")).exit_code == 0
    assert "positions" not in caplog.text


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "labelled.csv")
    result = spt("evaluate", tmp_path, "--on", file)
    assert result.exit_code == 2 and "not a saved prompt" in result.stderr
    assert "Leave one out" in spt("evaluate", tmp_path, "--on", file, "--folder", tmp_path).stderr


def test_sets_of_labels_are_scored_by_class_and_by_row(tmp_path: Path) -> None:
    task = {"multi_label": True, "label_delimiter": "|", "labels": ["bad", "good"]}
    made = classifier(tmp_path, (1, 2), task=task, head={"kind": "classification"})
    made.save_pretrained(tmp_path / "model")
    sets = [["good"], ["bad"], ["good", "bad"], [], ["good"], ["bad"], ["good"], []]
    file = tmp_path / "labelled.jsonl"
    rows = ({"text": text, "label": labels} for text, labels in zip(TEXTS, sets, strict=True))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = spt("evaluate", tmp_path / "model", "--on", file, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    answers = made.predict(TEXTS)
    for one in told["classes"]:
        name = one["label"]
        answered = [name in answer.labels for answer in answers]
        hits = sum(yes and name in given for yes, given in zip(answered, sets, strict=True))
        assert one["rows"] == sum(name in given for given in sets)
        assert one["recall"] == pytest.approx(hits / one["rows"])
        assert one["precision"] == pytest.approx(hits / max(1, sum(answered)))
    right = [set(answer.labels) == set(given) for answer, given in zip(answers, sets, strict=True)]
    assert told["test_accuracy"] == pytest.approx(np.mean(right))
    low, high = told["intervals"]["test_accuracy"]
    assert low <= told["test_accuracy"] <= high
    assert told["test_macro_f1"] == told["test_metric"]


def test_keys_say_how_a_file_has_several_labels(tmp_path: Path) -> None:
    """A prompt that was fitted in memory has lists of labels, whatever its file had."""
    made = classifier(
        tmp_path,
        (1, 2),
        task={"multi_label": True, "label_delimiter": "|", "labels": ["bad", "good"]},
        head={"kind": "classification"},
    )
    sets = [["good"], ["bad"], ["good", "bad"], [], ["good"], ["bad"], ["good"], []]
    cells = [";".join(labels) for labels in sets]
    # in another order than the prompt has them
    flags = [",".join(str(int(name in labels)) for name in ("good", "bad")) for labels in sets]
    lists = tmp_path / "lists.jsonl"
    rows = ({"text": text, "label": labels} for text, labels in zip(TEXTS, sets, strict=True))
    lists.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = made.spec.task.model_copy(update={"label_delimiter": None})
    fitted = replace(made, spec=made.spec.model_copy(update={"task": task}))
    made.save_pretrained(tmp_path / "delimited")
    fitted.save_pretrained(tmp_path / "fitted")
    expected = evaluate_on(tmp_path / "fitted", lists, {}).scores
    for model in (tmp_path / "fitted", tmp_path / "delimited"):
        delimited = written(tmp_path / "cells.csv", labels=cells)
        assert evaluate_on(model, delimited, {"task.label_delimiter": ";"}).scores == expected
        flagged = written(tmp_path / "flags.csv", "text,good,bad", flags)
        assert evaluate_on(model, flagged, {"task.label_columns": ["good", "bad"]}).scores == expected
    with pytest.raises(InputError, match=r"not trained on the label 'text2' .* Its labels: bad, good"):
        written(tmp_path / "flags.csv", "text,text2,bad", flags)
        evaluate_on(tmp_path / "fitted", tmp_path / "flags.csv", {"task.label_columns": ["text2", "bad"]})
    for ways in ({"task.label_delimiter": ""}, {"task.label_columns": "good"}, {"task.label_delimiter": 3}):
        with pytest.raises(InputError, match=r"problem in the columns of task:\n  label_"):
            evaluate_on(tmp_path / "fitted", delimited, ways)
