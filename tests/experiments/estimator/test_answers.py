"""Answers of a fitted `SPTClassifier`, and the score of them, in what the user calls the classes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from experiments.estimator import SPTClassifier
from experiments.fitting.class_values import ClassValues
from experiments.fitting.parameters import run_config
from experiments.fitting.rows import LabelledRows
from experiments.fitting.scoring import score_rows
from experiments.fitting.splits import read_splits
from experiments.fitting.text_columns import TextColumns
from spt.errors import InputError
from spt.metrics import Metric, score
from tests.support.estimators import QUERIES, same, tiny_estimator

pytestmark = pytest.mark.usefixtures("no_report")


def test_columns_of_other_names_are_named_by_the_task(
    home: Path, data: tuple[list[str], list[str]], fitted: SPTClassifier
) -> None:
    texts, labels = data
    table = pd.DataFrame({"id": range(len(texts)), "message": texts, "team": labels})
    model = tiny_estimator(home, task={"text": "message", "label": "team"}).fit(table)
    assert same(model, fitted)
    assert model.feature_names_in_.tolist() == ["message"]
    assert model.score(table) == fitted.score(texts, labels)
    # the column that was fitted, in whatever table it stands
    assert model.predict(table[["team", "message"]]).tolist() == fitted.predict(texts).tolist()


def test_pairs_are_learned_and_answered(home: Path, data: tuple[list[str], list[str]]) -> None:
    texts, labels = data
    pairs = list(zip(texts, texts[1:] + texts[:1], strict=True))
    model = tiny_estimator(home, epochs=1).fit(pairs, labels)
    assert model.n_features_in_ == 2
    assert model.score(pairs, labels) == np.mean(model.predict(pairs) == labels)
    columns = [list(column) for column in zip(*pairs, strict=True)]
    assert np.array_equal(model.predict_proba(columns[0], columns[1]), model.predict_proba(pairs))
    assert model.predict(list(map(list, pairs))).tolist() == model.predict(pairs).tolist()
    with pytest.raises(InputError, match="X has 1 texts a row, but the estimator was fitted on 2"):
        model.predict(texts)
    with pytest.raises(InputError, match="X has 1 texts a row, but the estimator was fitted on 2"):
        model.predict(pd.DataFrame({"review": texts, "label": labels}))


def test_a_column_of_labels_is_no_text_of_a_question(
    fitted: SPTClassifier, data: tuple[list[str], list[str]]
) -> None:
    texts, labels = data
    table = pd.DataFrame({"review": texts, "label": labels})
    assert fitted.predict(table).tolist() == fitted.predict(texts).tolist()
    assert fitted.score(table) == fitted.score(texts, labels)


@pytest.mark.parametrize(
    ("classes", "dtype"),
    [
        (([10, 9]), "int64"),
        ((np.array([3, -1], dtype=np.int8)), "int8"),
        (([True, False]), "bool"),
        ((np.array([2.0, 1.0])), "float64"),
        ((["10", "9"]), "<U2"),
        ((["good ", "bad"]), "<U4"),
    ],
    ids=str,
)
def test_labels_stay_what_they_were(
    classes: Any, dtype: str, home: Path, data: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    texts, names = data
    first, second = classes
    labels: Any = [first if name == "good" else second for name in names]
    if isinstance(classes, np.ndarray):
        labels = np.array(labels, dtype=classes.dtype)
    model = tiny_estimator(home).fit(texts, labels)
    clean = [value.strip() if isinstance(value, str) else value for value in (first, second)]
    assert model.classes_.tolist() == sorted(clean)
    assert model.classes_.dtype == model.predict(texts).dtype == np.dtype(dtype)
    right = [answer == clean[name == "bad"] for answer, name in zip(model.predict(texts), names, strict=True)]
    assert model.score(texts, labels) == np.mean(right) > 0.8
    chances = model.predict_proba(texts)
    assert model.classes_[chances.argmax(1)].tolist() == model.predict(texts).tolist()
    model.save_pretrained(tmp_path / "model")
    restored = SPTClassifier.from_pretrained(tmp_path / "model")
    assert restored.classes_.tolist() == model.classes_.tolist()
    assert restored.predict(texts).dtype == np.dtype(dtype)


def test_classes_of_a_data_set_are_answered_by_their_names(
    home: Path, data: tuple[list[str], list[str]], fitted: SPTClassifier
) -> None:
    texts, labels = data
    features = Features(text=Value("string"), label=ClassLabel(names=["good", "bad"]))
    rows = Dataset.from_dict({"text": texts, "label": labels}, features=features)
    model = tiny_estimator(home).fit(rows)
    assert model.classes_.tolist() == ["bad", "good"]
    assert same(model, fitted)
    assert model.predict(rows).tolist() == fitted.predict(texts).tolist()
    assert model.score(rows) == fitted.score(texts, labels)


def test_positions_of_a_tasks_classes_stay_positions(home: Path, data: tuple[list[str], list[str]]) -> None:
    texts, names = data
    positions = [int(name == "good") for name in names]
    model = tiny_estimator(home, task="mr").fit(texts, positions)
    assert model.classifier_.labels == ("neg", "pos")
    assert model.classes_.tolist() == [0, 1]
    assert model.score(texts, positions) > 0.8
    # their order is the task's, not that of the alphabet
    named = tiny_estimator(home, task={"labels": ["good", "bad"]}).fit(texts, names)
    assert named.classifier_.labels == ("good", "bad")
    assert named.classes_.tolist() == ["bad", "good"]
    assert named.classes_[named.predict_proba(texts).argmax(1)].tolist() == named.predict(texts).tolist()


SETS: dict[str, Callable[[list[str], list[list[str]]], tuple[Any, Any, dict[str, Any]]]] = {
    "lists": lambda texts, sets: (texts, sets, {}),
    "JSON": lambda texts, sets: (texts, [json.dumps(each) for each in sets], {}),
    "arrays": lambda texts, sets: (texts, [np.array(each, dtype=object) for each in sets], {}),
    "cells": lambda texts, sets: (texts, [";".join(each) for each in sets], {"label_delimiter": ";"}),
    "columns": lambda texts, sets: (
        pd.DataFrame({"text": texts, **{n: [int(n in each) for each in sets] for n in ("good", "short")}}),
        None,
        {"label_columns": ["good", "short"]},
    ),
}


def label_sets(texts: list[str], names: list[str]) -> list[list[str]]:
    return [
        (["good"] if name == "good" else []) + (["short"] if len(text.split()) < 7 else [])
        for text, name in zip(texts, names, strict=True)
    ]


@pytest.mark.parametrize("kind", SETS)
def test_a_text_may_have_several_labels(kind: str, home: Path, data: tuple[list[str], list[str]]) -> None:
    texts, sets = data[0], label_sets(*data)
    rows, labels, fields = SETS[kind](texts, sets)
    model = tiny_estimator(home, task={"multi_label": True, **fields}).fit(rows, labels)
    assert model.classes_.tolist() == ["good", "short"]
    answers = model.predict(rows)
    assert answers.shape == (len(texts),)
    assert {label for answer in answers for label in answer} <= {"good", "short"}
    assert model.predict_proba(rows).shape == (len(texts), 2)
    score = model.score(rows, labels)
    assert score == model.classifier_.evaluate(texts, sets)["test_macro_f1"] > 0.6
    if kind == "lists":
        long = [["good", "long"], ["long", "odd"], *sets[2:]]
        binary = MultiLabelBinarizer(classes=["good", "short", "long", "odd"])
        expected = f1_score(*map(binary.fit_transform, (long, answers)), average="macro", zero_division=0.0)
        assert model.score(texts, long) == pytest.approx(expected)
        # by the sorted classes, as scikit-learn has them
        assert model.score(texts, MultiLabelBinarizer().fit_transform(sets)) == score
        with pytest.raises(InputError, match=r"label 1 \(row 1\) is of another type than the classes"):
            model.score(texts[:1], [["good", 1]])
        with pytest.raises(InputError, match="labels of X holds no list of labels, but NoneType, in row 2"):
            model.score(texts[:2], [["good"], None])


@pytest.mark.parametrize("classes", [[0, 1], ["short", "good"]], ids=["array", "frame"])
def test_a_column_for_each_class_is_answered_by_such_columns(
    classes: list[Any], home: Path, data: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    texts, sets = data[0], label_sets(*data)
    # in another order than sorted
    hot = np.array([["short" in each, "good" in each] for each in sets])
    labels = hot if classes == [0, 1] else pd.DataFrame(hot.astype(int), columns=classes)
    model = tiny_estimator(home, task={"multi_label": True}).fit(texts, labels)
    answers, limits = model.predict(texts), model.classifier_.spec.answers.thresholds
    assert model.classes_.tolist() == classes
    assert answers.dtype == np.int64
    assert answers.tolist() == (model.predict_proba(texts) >= limits).tolist()
    expected = f1_score(hot, answers, average="macro")
    assert model.score(texts, labels) == pytest.approx(expected)
    assert expected > 0.6
    lists = [[classes[column] for column in np.flatnonzero(row)] for row in hot]
    assert model.score(texts, lists) == pytest.approx(expected)
    assert model.classifier_.evaluate(texts, labels)["test_macro_f1"] == pytest.approx(expected)
    wider = np.hstack([hot, hot[:, :1]]).astype(int)
    for read in (model.score, model.classifier_.evaluate):
        with pytest.raises(
            InputError, match="have the 3 columns 0, 1, 2, but the 2 classes of task 'custom'"
        ):
            read(texts, wider)
        with pytest.raises(InputError, match="has 2 numbers in every row, each 0 or 1, and there are 2"):
            read(texts, hot.astype(int).tolist())
    model.save_pretrained(tmp_path / "model")
    restored = SPTClassifier.from_pretrained(tmp_path / "model")
    assert restored.classes_.tolist() == classes
    assert restored.predict(texts).tolist() == answers.tolist()


@pytest.mark.parametrize("kind", ["cells", "columns"])
def test_rows_without_labels_are_left_out_of_sets_too(
    kind: str, home: Path, data: tuple[list[str], list[str]]
) -> None:
    texts, names = data
    rows, labels, fields = SETS[kind](texts, [[name] for name in names])
    if kind == "cells":
        labels[1] = None
    else:
        rows = rows.assign(good=[0.0, None, *rows["good"][2:]], short=1.0)
    task, drop = {"multi_label": True, **fields}, {"incomplete": "drop"}
    config = run_config({"task": {"name": "custom", **task}, "data": drop})
    splits, _ = read_splits(config, {"train": (rows, labels, None)})
    assert splits["train"].labels[1] is None
    assert len(splits["train"].complete("train").labels) == len(texts) - 1
    with pytest.raises(InputError, match=r"The label column '.*' of train is empty in row 2"):
        tiny_estimator(home, task=task).fit(rows, labels)


def test_a_text_that_is_none_of_the_classes_is_answered_by_none(
    home: Path, data: tuple[list[str], list[str]]
) -> None:
    texts, names = data
    labels = [int(name == "good") for name in names]
    model = tiny_estimator(home, answers={"coverage": 0.5}).fit(texts, labels)
    answers = model.predict(texts).tolist()
    assert set(answers) == {0, 1, None}
    assert model.score(texts, labels) == np.mean(
        model.classes_[model.predict_proba(texts).argmax(1)] == labels
    )


def test_rows_without_a_text_or_a_label_are_left_out_if_asked_for(
    home: Path, data: tuple[list[str], list[str]], fitted: SPTClassifier
) -> None:
    texts, labels = data
    model = tiny_estimator(home, data={"incomplete": "drop"}).fit(
        [None, "x", "y", *texts], ["a class of no whole row", None, np.float32("nan"), *labels]
    )
    assert same(model, fitted)
    assert model.classes_.tolist() == ["bad", "good"]
    rows = ["x", float("nan"), *texts], [None, "good", *labels]
    assert model.score(*rows) == fitted.score(texts, labels)
    with pytest.raises(InputError, match="is empty in row 2"):
        fitted.score(["x", None, *texts], ["good", "good", *labels])


def test_rows_are_counted_as_they_are_given_where_some_are_left_out(
    fitted: SPTClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    model, texts, labels = copy(fitted), ["a", None, "b", "c"], ["good", "bad", None, "bad"]
    model._fitted_parameters = {**model._fitted_parameters, "data": {"incomplete": "drop"}}
    model.score([*texts, "d"], [*labels, "odd"])
    assert [message.rpartition("(")[2] for message in caplog.messages] == [
        "2 rows: 2, 3)",
        "row 5) is none of the classes that were fitted, so answers there count as wrong",
    ]
    for text, label, said in (
        (5, "bad", "list of texts holds a value of type int in row 5"),
        ("d", 1, r"label 1 \(row 5\) is of another type"),
        ("d", {}, "labels of X holds a value of type dict in row 5"),
    ):
        with pytest.raises(InputError, match=said):
            model.score([*texts, text], [*labels, label])


def test_a_hidden_class_of_a_data_set_is_missing(
    home: Path, data: tuple[list[str], list[str]], fitted: SPTClassifier
) -> None:
    texts, labels = data
    features = Features(text=Value("string"), label=ClassLabel(names=["good", "bad"]))
    columns = {"text": ["x", *texts], "label": [-1, *[int(name == "bad") for name in labels]]}
    rows = Dataset.from_dict(columns, features=features)
    model = tiny_estimator(home, data={"incomplete": "drop"}).fit(rows)
    assert same(model, fitted)
    assert model.score(rows) == fitted.score(texts, labels)
    with pytest.raises(InputError, match="The label column 'label' of train is empty in row 1"):
        tiny_estimator(home).fit(rows)
    with pytest.raises(InputError, match="labels of X is empty in row 1"):
        fitted.score(rows)


def test_parameters_that_are_set_after_a_fit_are_of_the_next_one(
    home: Path, data: tuple[list[str], list[str]]
) -> None:
    texts, labels = data
    table = pd.DataFrame({"text": ["x", *texts], "mood": [None, *labels]})
    model = tiny_estimator(home, task={"label": "mood"}, data={"incomplete": "drop"}).fit(table)
    expected = model.score(table)
    model.set_params(task__label="other", data__incomplete="refuse")
    assert model.score(table) == pickle.loads(pickle.dumps(model)).score(table) == expected
    with pytest.raises(InputError, match="nor a column 'other'"):
        model.fit(table)


def test_questions_that_cannot_be_answered_are_refused_by_row(fitted: SPTClassifier) -> None:
    with pytest.raises(InputError, match="empty in 2 rows: 2, 3"):
        fitted.predict(["great", None, float("nan")])
    with pytest.raises(InputError, match="X has 2 texts a row, but the estimator was fitted on 1"):
        fitted.predict([("great", "film")])
    with pytest.raises(InputError, match=r"label 1, 0\.5 \(2 rows: 2, 3\) is of another type than the cl"):
        fitted.score(QUERIES[:3], ["good", 1, 0.5])
    with pytest.raises(InputError, match="labels of X is empty in row 1"):
        fitted.score(QUERIES[:2], [None, "good"])
    for texts in ([], QUERIES):
        with pytest.raises(InputError, match=f"X has {len(texts)} texts and 0 labels"):
            fitted.score(texts, [])


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1", "matthews"])
def test_a_class_that_was_not_fitted_is_never_right(
    metric: Metric, fitted: SPTClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    made = fitted.classifier_
    task = made.spec.task.model_copy(update={"metric": metric})
    made = replace(made, spec=made.spec.model_copy(update={"task": task}))
    labels = ["good", " rare ", "bad", "other"]
    # numbered by hand: bad, good, rare, other
    answers = [["bad", "good"].index(answer) for answer in fitted.predict(QUERIES)]
    scored = score_rows(made, fitted._classes, LabelledRows(TextColumns(QUERIES), labels))
    assert scored == score(metric, [1, 2, 0, 3], answers)["metric"] < 1
    assert caplog.messages == [
        "the label 'rare', 'other' of X (2 rows: 2, 4) is none of the classes that were fitted, so answers "
        "there count as wrong"
    ]


@pytest.mark.parametrize("metric", ["f1", "accuracy_and_f1"])
def test_a_class_that_was_not_fitted_leaves_f1_of_the_second_class(
    metric: Metric, fitted: SPTClassifier
) -> None:
    made = fitted.classifier_
    task = made.spec.task.model_copy(update={"metric": metric})
    made = replace(made, spec=made.spec.model_copy(update={"task": task}))
    labels, answers = ["good", "rare", "bad", "good"], fitted.predict(QUERIES)
    f1 = f1_score([label == "good" for label in labels], answers == "good")
    expected = f1 if metric == "f1" else (f1 + np.mean(answers == labels)) / 2
    scored = score_rows(made, fitted._classes, LabelledRows(TextColumns(QUERIES), labels))
    assert scored == pytest.approx(expected)
    assert scored != score("macro_f1", [1, 2, 0, 1], [int(answer == "good") for answer in answers])["metric"]


def test_labels_of_one_type_with_the_classes_may_be_new() -> None:
    numbers = ClassValues(("0", "1"), (0, 1))
    assert numbers.numbers_of([[1], [5.0, 7], [np.int8(0), 5], []]) == ([[1], [2, 3], [0, 2], []], [5.0, 7])
    assert ClassValues(("0", "1"), (0.0, 1.0)).numbers_of([[True], [3]]) == ([[1], [2]], [3])
    for wrong in ("1", 0.5):
        with pytest.raises(InputError, match=r"row 1\) is of another type than the classes .*: 0, 1\. "):
            numbers.numbers_of([[wrong]])
    with pytest.raises(InputError, match=r"label True \(row 2\)"):
        ClassValues(("a", "b"), ("a", "b")).numbers_of([["c"], [True]])


def test_an_estimator_that_is_not_fitted_says_so(home: Path, tmp_path: Path) -> None:
    for call in (
        lambda model: model.predict(QUERIES),
        lambda model: model.score(QUERIES, QUERIES),
        lambda model: model.save_pretrained(tmp_path / "model"),
    ):
        with pytest.raises(NotFittedError):
            call(tiny_estimator(home))
