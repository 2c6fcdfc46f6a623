"""Rows and labels of every form that `SPTClassifier` takes are read the same, and what is wrong is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDatasetDict, List, Value
from scipy.sparse import csr_array

from experiments.estimator import SPTClassifier
from experiments.fitting.class_values import ClassValues, label_type
from experiments.fitting.parameters import run_config
from experiments.fitting.rows import LabelledRows
from experiments.fitting.splits import held_out, read_splits
from experiments.fitting.text_columns import read_text_columns
from spt.errors import InputError
from spt.tasks import get_task
from tests.support.estimators import tiny_estimator


def frame(texts: list[str], labels: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"id": range(len(texts)), "text": texts, "label": labels})


ROWS: dict[str, Callable[[list[str], list[str]], tuple[Any, Any]]] = {
    "tuples": lambda texts, labels: (tuple(texts), tuple(labels)),
    "series": lambda texts, labels: (pd.Series(texts, index=range(9, 9 + len(texts))), pd.Series(labels)),
    "categories": lambda texts, labels: (pd.Series(texts), pd.Series(labels, dtype="category")),
    "arrays": lambda texts, labels: (np.array(texts), np.array(labels, dtype=object)),
    "a column": lambda texts, labels: (np.array(texts).reshape(-1, 1), np.array(labels).reshape(-1, 1)),
    "a frame of one column": lambda texts, labels: (pd.DataFrame({"message": texts}), labels),
    "a frame": lambda texts, labels: (frame(texts, labels), None),
    "a frame and labels": lambda texts, labels: (frame(texts, labels), labels),
    "columns": lambda texts, labels: ({"text": texts, "label": labels}, None),
    "a dataset": lambda texts, labels: (Dataset.from_dict({"text": texts, "label": labels}), None),
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_of_any_kind_are_read_the_same(kind: str, data: tuple[list[str], list[str]]) -> None:
    rows, labels = ROWS[kind](*data)
    read = LabelledRows.read(rows, labels, None, get_task("custom"), "train")
    assert (read.columns.texts, read.columns.pairs, read.labels) == (data[0], None, data[1])


PAIRS: dict[str, Callable[[list[str], list[str]], tuple[Any, Any]]] = {
    "tuples": lambda texts, seconds: (list(zip(texts, seconds, strict=True)), None),
    "lists": lambda texts, seconds: (json.loads(json.dumps([*zip(texts, seconds, strict=True)])), None),
    "a series of lists": lambda texts, seconds: (
        pd.Series([list(pair) for pair in zip(texts, seconds, strict=True)]),
        None,
    ),
    "two lists": lambda texts, seconds: (texts, seconds),
    "two columns": lambda texts, seconds: (np.array([texts, seconds]).T, None),
    "a frame": lambda texts, seconds: (pd.DataFrame({"premise": texts, "hypothesis": seconds}), None),
}


@pytest.mark.parametrize("form", PAIRS)
def test_pairs_of_any_form_are_read_the_same(form: str) -> None:
    rows, pairs = PAIRS[form](["a", "b", "c"], ["x", "y", "z"])
    columns = read_text_columns(rows, pairs, ("text",), "train")
    assert (columns.texts, columns.pairs, columns.width) == (["a", "b", "c"], ["x", "y", "z"], 2)


@pytest.mark.parametrize("form", PAIRS)
def test_pairs_of_dev_are_of_any_form_too(form: str) -> None:
    firsts, seconds, labels = ["a", "b", "c"], ["x", "y", "z"], ["yes", "no", "yes"]
    rows, pairs = PAIRS[form](firsts, seconds)
    parts = (rows, labels) if pairs is None else (rows, labels, pairs)
    given = {"train": (firsts, labels, seconds), **held_out(dev=parts, test=(firsts, labels, seconds))}
    splits, _ = read_splits(run_config({"task": "custom"}), given)
    assert splits["dev"].columns.texts == splits["test"].columns.texts == firsts
    assert splits["dev"].columns.pairs == splits["test"].columns.pairs == seconds
    assert splits["dev"].labels == splits["test"].labels == labels


@pytest.mark.parametrize("y", [None, ["good", "bad"]])
def test_a_column_of_labels_is_never_a_text(y: list[str] | None) -> None:
    table = pd.DataFrame({"review": ["fine", "dull"], "label": ["good", "bad"]})
    read = LabelledRows.read(table, y, None, get_task("custom"), "train")
    assert (read.columns.texts, read.columns.width, read.columns.names) == (["fine", "dull"], 1, ("review",))
    assert read.labels == ["good", "bad"]


def test_two_columns_that_nobody_named_are_told_to_be_pairs(caplog: pytest.LogCaptureFixture) -> None:
    table = pd.DataFrame({"id": ["a1", "b2"], "body": ["fine", "dull"]})
    labels, config = ["good", "bad"], run_config({"task": "custom"})
    splits, _ = read_splits(config, {"train": (table, labels, None), "dev": (table, labels, None)})
    assert splits["train"].columns.names == ("id", "body")
    (told,) = caplog.messages
    assert "columns 'id' and 'body' of train are taken for the first and the second text" in told
    caplog.clear()
    for fields, width in (({"text": "body"}, 1), ({"text": "body", "text_pair": "id"}, 2)):
        read = LabelledRows.read(table, labels, None, get_task("custom", **fields), "train")
        assert (read.columns.texts, read.columns.width) == (["fine", "dull"], width)
    assert read_text_columns(table[["body"]], None, ("text",), "train").texts == ["fine", "dull"]
    assert not caplog.messages


def test_labels_that_stand_in_a_second_column_under_any_name_are_refused() -> None:
    table = pd.DataFrame({"review": ["fine", "dull"], "team": ["good", "bad"]})
    with pytest.raises(
        InputError, match="The second texts of train are its labels, so the answer would be in"
    ):
        LabelledRows.read(table, table["team"], None, get_task("custom"), "train")
    with pytest.raises(InputError, match="The first texts of train are its labels"):
        LabelledRows.read(table[["team", "review"]], table["team"], None, get_task("custom"), "train")


@pytest.mark.parametrize(
    ("names", "task", "expected"),
    [
        (["bad", "good"], {}, ["good", "bad", None]),
        # which indices would be taken for
        (["1", "0"], {}, ["0", "1", None]),
        # of another order
        (["bad", "good"], {"labels": ["good", "bad"]}, ["good", "bad", None]),
        (["neg", "pos"], {"labels": ["bad", "good"]}, [1, 0, None]),
    ],
)
def test_classes_of_a_data_set_have_their_names(
    names: list[str], task: dict[str, Any], expected: list[Any]
) -> None:
    features = Features(text=Value("string"), label=ClassLabel(names=names))
    data = Dataset.from_dict({"text": ["fine", "dull", "so"], "label": [1, 0, None]}, features=features)
    assert LabelledRows.read(data, None, None, get_task("custom", **task), "train").labels == expected
    hidden = Dataset.from_dict({"text": ["fine", "dull", "so"], "label": [1, 0, -1]}, features=features)
    assert LabelledRows.read(hidden, None, None, get_task("custom", **task), "train").labels == expected
    # labels that are given stay what they were
    assert LabelledRows.read(data, data["label"], None, get_task("custom"), "train").labels == [1, 0, None]


def test_several_classes_of_a_row_of_a_data_set_have_their_names() -> None:
    features = Features(text=Value("string"), label=List(ClassLabel(names=["bad", "good"])))
    data = Dataset.from_dict({"text": ["so", "fine"], "label": [[0, 1], []]}, features=features)
    read = LabelledRows.read(data, None, None, get_task("custom", multi_label=True), "train")
    assert read.labels == [["bad", "good"], []]


def test_columns_of_other_names_stay_in_the_order_of_train() -> None:
    table = pd.DataFrame({"premise": ["a", "b"], "hypothesis": ["x", "y"], "label": ["yes", "no"]})
    swapped, config = (table[["label", "hypothesis", "premise"]], None, None), run_config({"task": "custom"})
    splits, _ = read_splits(config, {"train": (table, None, None), "dev": swapped})
    assert splits["dev"].columns == splits["train"].columns
    # one of two names says nothing of the place of the other
    other = table.rename(columns={"premise": "claim"})
    with pytest.raises(
        InputError, match="The rows of dev have no column 'premise', only claim, hypothesis, label"
    ):
        read_splits(config, {"train": (table, None, None), "dev": (other, None, None)})


@pytest.mark.parametrize("field", ["template", "causal_template"])
def test_pairs_under_a_template_of_one_text_are_refused(field: str, home: Path) -> None:
    task = {"template": "{text} was {mask} .", "causal_template": "{text} was {mask}"}
    with pytest.raises(
        InputError, match=rf"^task.{field} is '{{text}} was .* but the rows of train are pairs"
    ):
        tiny_estimator(home, task={field: task[field]}).fit([("a", "x"), ("b", "y")], ["yes", "no"])
    with pytest.raises(InputError, match="2 problems in the rows"):
        tiny_estimator(home, task=task).fit([("a", "x"), ("b", "y")], ["yes", "no"])


def test_pairs_whose_second_column_would_be_that_of_the_labels_are_refused(home: Path) -> None:
    with pytest.raises(InputError, match="does not fit the rows: the column 'text_pair' has two meanings"):
        tiny_estimator(home, task={"label": "text_pair"}).fit([("a", "x"), ("b", "y")], ["yes", "no"])


def test_an_array_of_texts_has_a_list_of_labels_a_row() -> None:
    for task in (get_task("custom"), get_task("custom", multi_label=True)):
        read = LabelledRows.read(["a", "b"], np.array([["x", "y"], ["y", "z"]]), None, task, "train")
        assert (read.labels, read.classes) == ([["x", "y"], ["y", "z"]], None)


HOT = [[0, 1], [1, 1], [0, 0]]
COLUMNS: dict[str, tuple[Any, dict[str, Any], list[Any]]] = {
    "numbers": (np.array(HOT), {}, [0, 1]),
    "truth values": (np.array(HOT, dtype=bool), {}, [0, 1]),
    "a tensor": (torch.tensor(HOT), {}, [0, 1]),
    "classes of the task": (np.array(HOT), {"labels": ["x", "y"]}, ["x", "y"]),
    "classes by position": (
        pd.DataFrame(HOT, columns=["x", "y"]),
        {"labels": ["one", "two"]},
        ["one", "two"],
    ),
    "a frame": (pd.DataFrame(HOT, columns=["y", "x"]), {}, ["y", "x"]),
    "a data set": (Dataset.from_list([{"y": first, "x": second} for first, second in HOT]), {}, ["y", "x"]),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_for_each_class_says_the_labels(kind: str) -> None:
    labels, fields, classes = COLUMNS[kind]
    config = run_config({"task": {"name": "custom", "multi_label": True, **fields}})
    given = {"train": (["a", "b", "c"], labels, None), "dev": (["d"], [[classes[1]]], None)}
    splits, config = read_splits(config, given)
    assert splits["train"].labels == [[classes[1]], classes, []]
    assert splits["dev"].labels == [[classes[1]]]
    # of which one may have no row
    assert config.task.labels == tuple(map(str, classes))


def test_columns_of_dev_are_those_of_train() -> None:
    config, texts = run_config({"task": {"name": "custom", "multi_label": True}}), ["a", "b", "c"]
    train = (texts, pd.DataFrame(HOT, columns=["y", "x"]), None)
    for given in (np.array(HOT), pd.DataFrame(np.array(HOT)[:, ::-1], columns=["x", "y"])):
        splits, _ = read_splits(config, {"train": train, "dev": (texts, given, None)})
        assert list(map(set, splits["dev"].labels)) == [{"x"}, {"x", "y"}, set()]
    other = pd.DataFrame(HOT, columns=["x", "z"])
    with pytest.raises(InputError, match=r"of dev have the 2 columns x, z, but the 2 classes of .* are y, x"):
        read_splits(config, {"train": train, "dev": (texts, other, None)})
    for columns in (np.eye(3), pd.DataFrame(np.eye(3), columns=["x", "y", "z"])):
        with pytest.raises(InputError, match=r"of dev have the 3 columns .*, but the 2 classes of .* y, x"):
            read_splits(config, {"train": train, "dev": (texts, columns, None)})


@pytest.mark.parametrize("split", ["train", "dev"])
def test_lists_that_may_be_columns_are_refused(split: str) -> None:
    config = run_config({"task": {"name": "custom", "multi_label": True}})
    texts, unclear = ["a", "b", "c"], [[0, 1], [1, 0], [1, 0]]
    given = {"train": (texts, np.array(HOT), None), "dev": (texts, np.array(unclear), None)}
    assert read_splits(config, given)[0]["dev"].labels == [[1], [0], [0]]
    # rows of no label say nothing
    given[split] = ([*texts, "d"], [*unclear, None], None)
    with pytest.raises(
        InputError, match=f"labels of {split} has 2 numbers in every row, each 0 or 1, and th"
    ):
        read_splits(config, given)
    # of which one row is clear
    given[split] = (texts, [[0, 1], [1, 0], [1]], None)
    assert read_splits(config, given)[0][split].labels == [[0, 1], [1, 0], [1]]


SEVERAL = {"multi_label": True}
WRONG_COLUMNS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "one label a text": (np.array(HOT), {}, r"array of numbers of the shape \(3, 2\).* set task.multi_label"),
    "sparse": (csr_array(HOT), SEVERAL, "or an array that is not sparse"),
    "other numbers": (
        np.array([[0, 1], [3, 0], [1, 1]]),
        SEVERAL,
        "'0' of train holds something else .* 2",
    ),
    "missing": (pd.DataFrame({"x": [0, 1, 1], "y": [1, None, 0]}), SEVERAL, "of train is empty in row 2"),
    "too few": (
        np.array(HOT),
        {**SEVERAL, "labels": ["x", "y", "z"]},
        "2 columns 0, 1, but the 3 classes of",
    ),
    "another order": (
        pd.DataFrame(HOT, columns=["y", "x"]),
        {**SEVERAL, "labels": ["x", "y"]},
        "2 columns y, x, but the 2 classes of task 'custom' are x, y. Give a column for each, in their order",
    ),
    "a mapping": ({"x": [0, 1, 0], "y": [1, 0, 1]}, SEVERAL, "labels of train is of type dict"),
}


@pytest.mark.parametrize("kind", WRONG_COLUMNS)
def test_columns_that_say_no_labels_are_refused(kind: str, home: Path) -> None:
    labels, fields, message = WRONG_COLUMNS[kind]
    with pytest.raises(InputError, match=message):
        tiny_estimator(home, task=fields).fit(["a", "b", "c"], labels)


def test_all_that_is_wrong_with_the_rows_is_told_at_once(home: Path) -> None:
    with pytest.raises(InputError, match="6 problems in the rows") as caught:
        tiny_estimator(home).fit(
            ["good", None, "bad", 3],
            ["a", "a", "a", "a"],
            dev=(["good", "bad"], ["a"]),
            test=(["good", " "], ["a", float("nan")]),
        )
    for part in (
        "2 texts of dev, but 1 labels",
        "texts of train is empty in row 2",
        "train holds a value of type int in row 4",
        "All rows of train have the label 'a'",
        "texts of test is empty in row 2",
        "labels of test is empty in row 2",
    ):
        caught.match(part)


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (["a", "b"], None, "no labels of train"),
        ([], [], "no rows of train"),
        ([["a", "b"], ["c"]], [0, 1], "must all be pairs .* row 2"),
        ([["a"], ["c"]], [0, 1], "must all be pairs .* 2 rows: 1, 2"),
        ([("a", "b"), "c", ("d",)], [0, 1, 0], r"must all be pairs .* 2 rows: 2, 3"),
        (np.eye(3), [0, 1, 0], r"array of the shape \(3, 3\)"),
        (["a", "b"], [1, "1"], r"several types: .*int \(row 1\).*str \(row 2\)|several types: .*str.*int"),
        (["a", "b", "c"], [0.5, 1.0, 0.2], "Unknown label type: continuous.* 2 rows: 1, 3"),
        (["a", "b"], [np.float32(0.5), np.float32(1.5)], "Unknown label type: continuous.* 2 rows: 1, 2"),
        (["a", "b"], [torch.tensor(0.5), torch.tensor(1.0)], "Unknown label type: continuous.* row 1"),
        ("great", "good", "one class only"),
        (5, [1], "is of type int"),
        (pd.DataFrame({"a": ["x"], "b": ["y"], "c": ["z"]}), [0], "no column 'text', only a, b, c"),
        (pd.DataFrame({"text": ["x", "y"]}), None, "nor a column 'label' among text"),
        ({"premise": ["x", "y"], "hypothesis": ["z"]}, [0, 1], "have: premise 2, hypothesis 1"),
    ],
    ids=str,
)
def test_rows_that_cannot_be_learned_from_are_refused(
    rows: Any, labels: Any, message: str, home: Path
) -> None:
    with pytest.raises(InputError, match=message):
        tiny_estimator(home).fit(rows, labels)


def test_rows_of_a_test_that_data_leave_out_are_refused(home: Path) -> None:
    with pytest.raises(InputError, match=r"data\.test_size is 0, but rows of test are given"):
        tiny_estimator(home, data={"test_size": 0}).fit(["a", "b"], ["x", "y"], test=(["c"], ["x"]))


SPLITS = {
    "a data set": lambda rows: DatasetDict(train=rows, validation=rows),
    "a stream": lambda rows: IterableDatasetDict(
        train=rows.to_iterable_dataset(), validation=rows.to_iterable_dataset()
    ),
}


@pytest.mark.parametrize("kind", SPLITS)
def test_the_splits_of_a_data_set_are_asked_for_one(
    kind: str, home: Path, fitted: SPTClassifier, data: tuple[list[str], list[str]]
) -> None:
    splits = SPLITS[kind](Dataset.from_dict({"text": ["a", "b"], "label": ["x", "y"]}))
    asked = r"came as splits \(train, validation\)\. Give one of them, as data\['train'\]"
    model = tiny_estimator(home)
    with pytest.raises(InputError, match=f"The rows of train {asked}"):
        model.fit(splits)
    with pytest.raises(InputError, match=f"The labels of train {asked}"):
        model.fit(["a", "b"], splits)
    with pytest.raises(InputError, match=f"The rows of dev {asked}"):
        model.fit(*data, dev=splits)
    with pytest.raises(InputError, match=f"The rows of X {asked}"):
        fitted.predict(splits)
    with pytest.raises(InputError, match=f"The list of texts {asked}"):
        fitted.classifier_.predict(splits)


@pytest.mark.parametrize("names", [["text", "text", "label"], ["label", "text", "label"], [1, "1", "label"]])
def test_columns_of_one_name_are_refused_as_such(names: list[Any], home: Path, fitted: SPTClassifier) -> None:
    rows = pd.DataFrame([["a", "b", "x"], ["c", "d", "y"]], columns=names)
    (twice,) = {str(name) for name in names if list(map(str, names)).count(str(name)) == 2}
    said = f"have several columns of the name '{twice}': {', '.join(map(str, names))}. Rename or remove"
    with pytest.raises(InputError, match=f"The rows of train {said}"):
        tiny_estimator(home).fit(rows)
    with pytest.raises(InputError, match=f"The rows of X {said}"):
        fitted.predict(rows)


@pytest.mark.parametrize("kind", [torch.tensor, np.array])
def test_numbers_of_other_libraries_are_of_the_type_that_they_hold(kind: Callable[[Any], Any]) -> None:
    for values in ((2, 1), (2.0, 1.0), (True, False)):
        labels = [kind(value) for value in values]
        assert label_type(labels) is type(values[0])


def test_classes_that_no_label_has_are_of_the_type_of_the_labels() -> None:
    assert ClassValues.of([1, 0], ("0", "1", "2")).values == (0, 1, 2)
    with pytest.raises(InputError, match="names classes that are no truth values"):
        ClassValues.of([True, False], ("False", "True", "Maybe"))
    with pytest.raises(
        InputError, match="'0', '1', '300', but the labels are of type int8, which has no val"
    ):
        ClassValues.of([1, 0], ("0", "1", "300"), "|i1")
    with pytest.raises(InputError, match=r"'a0', .* but the labels are of type int8"):
        ClassValues.of([1, 0], [f"a{number}" for number in range(200)], "|i1")


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (["0", "1", "many"], [1, 0, 1, 0], "names classes that are no numbers"),
        (["-1", "0", "1"], np.array([1, 0, 1, 0], dtype=np.uint8), "'-1', '0', '1', but the .* type uint8"),
    ],
    ids=str,
)
def test_labels_that_are_no_classes_are_refused_before_a_training(
    names: list[str], labels: Any, message: str, home: Path, tmp_path: Path
) -> None:
    texts = ["a", "b", "c", "d"]
    model = tiny_estimator(home, task={"labels": names}, folder=tmp_path / "run")
    with pytest.raises(InputError, match=message):
        model.fit(texts, labels, dev=(texts[:2], labels[:2]))
    assert not (tmp_path / "run").exists()
