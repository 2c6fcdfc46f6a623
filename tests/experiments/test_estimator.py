"""SPTClassifier: from Python objects to a trained prompt, under scikit-learn's contract, and quiet."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from copy import copy
from pathlib import Path
from pickletools import genops
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import spt
from experiments.config import RunConfig
from experiments.estimator import SPTClassifier
from experiments.fitting.class_values import ClassValues
from experiments.fitting.parameters import OF_FILES, SECTIONS, SHORT_NAMES, run_config
from experiments.fitting.rows import LabelledRows, text_columns
from experiments.fitting.splits import read_splits
from experiments.pipeline import Pipeline
from experiments.run.results import RunMetrics
from spt.data.config import DataConfig
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from spt.tasks import get_task
from spt.training.by_rows import suited_to_rows
from spt.training.config import TrainingConfig
from strategies.options import OPTIONS, EvolutionOptions, GradientOptions, ManualOptions
from tests.support.estimators import tiny_estimator, tiny_texts
from tests.support.loaded import loaded_by

ROOT = Path(__file__).parents[2]
QUERIES = ["the film was lovely", "dull", "it was very poor and the plot was awful", "great film"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("estimator")


@pytest.fixture(scope="module")
def data(home: Path) -> tuple[list[str], list[str]]:
    return tiny_texts(home)


@pytest.fixture(scope="module")
def fitted(home: Path, data: tuple[list[str], list[str]]) -> SPTClassifier:
    return tiny_estimator(home).fit(*data)


def halves(
    data: tuple[list[str], list[str]],
) -> tuple[tuple[list[str], list[str]], tuple[list[str], list[str]]]:
    texts, labels = data
    return (texts[:80], labels[:80]), (texts[80:], labels[80:])


def same(first: SPTClassifier, second: SPTClassifier) -> bool:
    """Say whether two estimators answer with the same bits."""
    return bool(np.array_equal(first.predict_proba(QUERIES), second.predict_proba(QUERIES)))


# --- the front door


def test_the_front_door_hands_it_on() -> None:
    assert spt.SPTClassifier is SPTClassifier
    assert SPTClassifier.__module__ == "experiments.estimator"


def test_importing_it_loads_scikit_learn_alone() -> None:
    code = "from spt import SPTClassifier; SPTClassifier(k=2).get_params()"
    assert loaded_by(code) == {"sklearn"}


# --- what a fitted estimator has


def test_a_fit_learns_and_says_what_it_found(
    fitted: SPTClassifier, data: tuple[list[str], list[str]]
) -> None:
    assert fitted.score(*data) > 0.8
    assert fitted.classes_.tolist() == ["bad", "good"]
    assert fitted.layers_ == (1, 3)
    assert fitted.gates_ is None
    assert fitted.n_features_in_ == 1
    assert fitted.run_ is None
    assert isinstance(fitted.classifier_, PromptClassifier)
    chances = fitted.predict_proba(QUERIES)
    assert chances.shape == (4, 2)
    assert chances.sum(1) == pytest.approx(np.ones(4), abs=1e-5)
    answers = fitted.predict(QUERIES)
    assert answers.tolist() == fitted.classes_[chances.argmax(1)].tolist() == ["good", "bad", "bad", "good"]
    assert fitted.predict("great film").tolist() == ["good"]
    assert fitted.predict([]).tolist() == []


def test_a_search_leaves_a_gate_for_each_layer(home: Path, data: tuple[list[str], list[str]]) -> None:
    search = {"epochs": 2, "warmup_epochs": 0, "candidates": [0, 1, 2]}
    model = tiny_estimator(home, layers=None, k=1, strategy="spt_darts", search=search).fit(*data)
    assert len(model.layers_) == 1
    assert model.gates_ is not None
    assert model.gates_.shape == (4,)
    assert np.isnan(model.gates_).tolist() == [False, False, False, True]
    assert model.metrics_["strategy"] == "spt_darts"


def test_each_layer_has_the_score_that_it_was_chosen_by(
    home: Path, data: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    model = tiny_estimator(home, layers=None, k=2, strategy="gradient").fit(*data)
    assert model.gates_ is None and model.scores_ is not None and model.scores_.shape == (4,)
    assert set(model.layers_) == set(np.argsort(-model.scores_)[:2])
    model.save_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(SPTClassifier.from_pretrained(tmp_path / "model").scores_, model.scores_)


def test_test_rows_are_scored_by_the_names_of_metrics_json(
    home: Path, data: tuple[list[str], list[str]]
) -> None:
    train, test = halves(data)
    model = tiny_estimator(home).fit(*train, dev=test, test=test)
    assert model.metrics_.keys() >= {"dev_metric", "test_metric", "test_f1", "layers", "total_flops"}
    assert model.metrics_["test_accuracy"] == model.score(*test)
    assert model.metrics_["test_size"] == model.metrics_["dev_size"] == 40
    shared = {"metric", "test_metric", "test_accuracy", "test_f1", "test_size"}
    assert shared <= model.classifier_.evaluate(*test).keys() & RunMetrics.__dataclass_fields__.keys()


def test_all_rows_but_those_of_dev_are_trained_on(home: Path, data: tuple[list[str], list[str]]) -> None:
    texts, labels = data
    model = tiny_estimator(home, folder=home / "rows").fit(texts, labels)
    rows = json.loads((home / "rows" / "inputs.json").read_text(encoding="utf-8"))["rows"]
    distinct = len(set(texts))
    assert rows["test"]["rows"] == 0
    assert rows["dev"]["rows"] == distinct // 10
    assert rows["train"]["rows"] == distinct - distinct // 10
    assert model.run_ == home / "rows"


# --- kinds of rows and labels


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


def test_columns_of_other_names_are_named_by_the_task(
    home: Path, data: tuple[list[str], list[str]], fitted: SPTClassifier
) -> None:
    table = frame(*data).rename(columns={"text": "message", "label": "team"})
    model = tiny_estimator(home, task={"text": "message", "label": "team"}).fit(table)
    assert same(model, fitted)
    assert model.feature_names_in_.tolist() == ["message"]
    assert model.score(table) == fitted.score(*data)
    # the column that was fitted, in whatever table it stands
    assert model.predict(table[["team", "message"]]).tolist() == fitted.predict(data[0]).tolist()


PAIRS: dict[str, Callable[[list[str], list[str]], tuple[Any, Any]]] = {
    "tuples": lambda texts, seconds: (list(zip(texts, seconds, strict=True)), None),
    "two lists": lambda texts, seconds: (texts, seconds),
    "two columns": lambda texts, seconds: (np.array([texts, seconds]).T, None),
    "a frame": lambda texts, seconds: (pd.DataFrame({"premise": texts, "hypothesis": seconds}), None),
}


@pytest.mark.parametrize("form", PAIRS)
def test_pairs_of_any_form_are_read_the_same(form: str) -> None:
    rows, pairs = PAIRS[form](["a", "b", "c"], ["x", "y", "z"])
    columns = text_columns(rows, pairs, ("text",), "train")
    assert (columns.texts, columns.pairs, columns.width) == (["a", "b", "c"], ["x", "y", "z"], 2)


@pytest.mark.parametrize("y", [None, ["good", "bad"]])
def test_a_column_of_labels_is_never_a_text(y: list[str] | None) -> None:
    table = pd.DataFrame({"review": ["fine", "dull"], "label": ["good", "bad"]})
    read = LabelledRows.read(table, y, None, get_task("custom"), "train")
    assert (read.columns.texts, read.columns.width, read.columns.names) == (["fine", "dull"], 1, ("review",))
    assert read.labels == ["good", "bad"]


def test_labels_that_stand_in_a_second_column_under_any_name_are_refused() -> None:
    table = pd.DataFrame({"review": ["fine", "dull"], "team": ["good", "bad"]})
    with pytest.raises(
        InputError, match="The second texts of train are its labels, so the answer would be in"
    ):
        LabelledRows.read(table, table["team"], None, get_task("custom"), "train")
    with pytest.raises(InputError, match="The first texts of train are its labels"):
        LabelledRows.read(table[["team", "review"]], table["team"], None, get_task("custom"), "train")


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


def test_pairs_are_learned_and_answered(home: Path, data: tuple[list[str], list[str]]) -> None:
    texts, labels = data
    pairs = list(zip(texts, texts[1:] + texts[:1], strict=True))
    model = tiny_estimator(home, epochs=1).fit(pairs, labels)
    assert model.n_features_in_ == 2
    assert model.score(pairs, labels) == np.mean(model.predict(pairs) == labels)
    columns = [list(column) for column in zip(*pairs, strict=True)]
    assert np.array_equal(model.predict_proba(columns[0], columns[1]), model.predict_proba(pairs))
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


@pytest.mark.parametrize("kind", SETS)
def test_a_text_may_have_several_labels(kind: str, home: Path, data: tuple[list[str], list[str]]) -> None:
    texts, names = data
    sets = [
        (["good"] if name == "good" else []) + (["short"] if len(text.split()) < 7 else [])
        for text, name in zip(texts, names, strict=True)
    ]
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
        with pytest.raises(InputError, match=r"label 'long' \(row 1\) is none of the classes"):
            model.score(texts[:1], [["good", "long"]])
        with pytest.raises(InputError, match="labels of X holds no list of labels, but NoneType, in row 2"):
            model.score(texts[:2], [["good"], None])


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_number_for_each_class_is_no_list_of_labels(multi_label: bool) -> None:
    task = get_task("custom", multi_label=multi_label)
    for array in (np.array([[0, 1], [1, 0]]), torch.tensor([[0, 1], [1, 0]])):
        with pytest.raises(
            InputError, match=r"labels of train are an array of numbers of the shape \(2, 2\)"
        ):
            LabelledRows.read(["a", "b"], array, None, task, "train")
    read = LabelledRows.read(["a", "b"], np.array([["x", "y"], ["y", "z"]]), None, task, "train")
    assert read.labels == [["x", "y"], ["y", "z"]]


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
        [None, "x", *texts], ["a class of no whole row", None, *labels]
    )
    assert same(model, fitted)
    assert model.classes_.tolist() == ["bad", "good"]
    rows = ["x", float("nan"), *texts], [None, "good", *labels]
    assert model.score(*rows) == fitted.score(texts, labels)
    with pytest.raises(InputError, match="is empty in row 2"):
        fitted.score(["x", None, *texts], ["good", "good", *labels])


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


# --- parameters


def test_every_section_of_a_run_is_a_parameter() -> None:
    names = set(SPTClassifier().get_params(deep=False))
    assert names - set(SHORT_NAMES) - {"folder", "verbose"} == set(RunConfig.model_fields) - {"name"}
    assert SECTIONS.keys() | {"backbone"} == {
        name
        for name, field in RunConfig.model_fields.items()
        if name not in ("name", "seed", "threads", "device", "cache", "cache_gb", "baselines", "loggers")
    }


@pytest.mark.parametrize("key", OF_FILES)
def test_a_key_that_is_about_files_is_refused(key: str) -> None:
    assert key in DataConfig.model_fields
    with pytest.raises(InputError, match=f"data has {key}, but rows come from fit"):
        run_config({"data": {key: ";"}})


@pytest.mark.parametrize("strategy", OPTIONS)
def test_any_strategy_is_taken_by_name(strategy: str) -> None:
    assert run_config({"strategy": strategy}).search == OPTIONS[strategy]()


def test_rows_have_a_training_that_suits_them_where_nobody_says_how_long() -> None:
    def of(rows: int, contrastive: bool = True, **parameters: Any) -> tuple[int, int, int]:
        config = run_config({"task": {"multi_label": not contrastive}, **parameters})
        training = suited_to_rows(config.training, rows, config.head, config.task)
        return training.contrastive_steps, training.epochs, training.batch_size

    own = TrainingConfig()
    assert of(96) == of(200, learning_rate=0.1) == (25, own.epochs, own.batch_size)
    assert of(96, contrastive=False, training={"warmup": 0.1}) == of(201) == of(400) == (0, 20, 16)
    assert of(401) == of(5000) == (0, own.epochs, 16)
    assert of(5001) == of(96, training={"patience": 5}) == (0, own.epochs, own.batch_size)
    assert of(96, training={"contrastive_steps": 0}) == (0, own.epochs, own.batch_size)
    assert of(96, epochs=3)[:2] == (0, 3)


@pytest.mark.parametrize(
    ("rows", "data", "suiting"),
    [
        # of 405 rows to train on no stage of epochs is left out
        (450, {}, {"batch_size": 16}),
        (450, {"shots_per_class": 16}, {"contrastive_steps": 25}),
        (450, {"shots_total": 300, "dev_size": 50}, {"epochs": 20, "patience": 20, "batch_size": 16}),
    ],
)
def test_the_rows_that_are_trained_on_decide_what_suits_them(
    rows: int, data: dict[str, int], suiting: dict[str, int], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AtTraining(Exception):
        pass

    def stop(pipeline: Pipeline) -> None:
        assert pipeline.workbench.training == pipeline.config.training
        raise AtTraining(pipeline.config.training)

    monkeypatch.setattr(Pipeline, "train", stop)
    texts = [f"{number} the film was {'good' if number % 2 else 'bad'}" for number in range(rows)]
    labels = [text.split()[-1] for text in texts]
    model = tiny_estimator(home, epochs=None, batch_size=None, learning_rate=None, data=data)
    # rows that repeat are trained on once
    for times in (1, 2):
        with pytest.raises(AtTraining) as caught:
            model.fit(texts * times, labels * times)
        assert caught.value.args[0] == TrainingConfig().model_copy(update=suiting)


def test_options_go_to_their_keys() -> None:
    model = SPTClassifier(
        "splade-tiny",
        strategy="evolution",
        k=3,
        epochs=4,
        learning_rate=0.02,
        batch_size=16,
        max_length=64,
        search={"population": 4, "evaluations": 9},
        training={"patience": 2},
        task={"metric": "f1"},
        seed=5,
    )
    config = run_config(model.get_params(deep=False) | {"folder": None, "verbose": None})
    assert isinstance(config.search, EvolutionOptions)
    assert (config.search.k, config.search.population, config.search.evaluations) == (3, 4, 9)
    assert (config.training.epochs, config.training.patience, config.training.batch_size) == (4, 2, 16)
    assert (config.training.learning_rate, config.data.max_length, config.seed) == (0.02, 64, 5)
    assert (config.task.name, config.task.metric, config.backbone.name) == ("custom", "f1", "splade-tiny")
    assert run_config({"layers": [3, 4]}).search == ManualOptions(manual_layers=(3, 4))
    assert run_config({}).search == GradientOptions()


def test_all_wrong_parameters_are_told_at_once_with_the_closest_names(home: Path) -> None:
    model = tiny_estimator(home, layers=None, k=0, training={"epoch": 3}, strategy="spt_dart", seed=-1)
    with pytest.raises(InputError, match=r"4 problems") as caught:
        model.fit(["a", "b"], [0, 1])
    for part in ("seed: .*given: -1", "search.k: ", "Did you mean 'spt_darts'", "Did you mean 'epochs'"):
        caught.match(part)
    both = tiny_estimator(home, training={"epochs": 3}, data={"train": "a.csv"}, prompt=[3])
    with pytest.raises(InputError, match="3 problems in the parameters") as caught:
        both.fit(["a", "b"], [0, 1])
    for part in (
        r"epochs and training\['epochs'\] are the same",
        "data has train, but rows",
        r"prompt is \[3\]",
    ):
        caught.match(part)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("learning_rat", "learning_rate"),
        ("evaluation", r"search={'evaluations': \.\.\.}"),
        ("training__epochs", r"training={'epochs': \.\.\.}"),
        ("trainin__patience", r"training={'patience': \.\.\.}"),
    ],
)
def test_a_misspelt_parameter_is_refused_with_the_closest(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"no parameter '{name}'. Did you mean {hint}"):
        SPTClassifier(**{name: 1})
    with pytest.raises(InputError, match="has no parameter 'zzz'"):
        SPTClassifier().set_params(zzz=1)
    with pytest.raises(InputError, match="has no parameter 'k__epochs'"):
        SPTClassifier().set_params(k__epochs=1)


@pytest.mark.parametrize("task", ["mr", get_task("mr"), {"name": "mr"}])
def test_keys_of_a_task_are_set_whatever_names_it(task: Any) -> None:
    config = run_config({"task": SPTClassifier(task=task).set_params(task__metric="f1").task})
    assert (config.task.name, config.task.metric, config.task.labels) == ("mr", "f1", ("neg", "pos"))


def test_keys_of_sections_are_set_without_touching_what_was_given() -> None:
    training = {"patience": 2}
    model = SPTClassifier(training=training)
    copy = clone(model).set_params(training__patience=3, prompt__length=4, k=1)
    assert training == {"patience": 2}
    assert (copy.training, copy.prompt, copy.k) == ({"patience": 3}, {"length": 4}, 1)
    assert copy.get_params()["training__patience"] == 3
    assert model.get_params()["training"] is training
    whole = SPTClassifier().set_params(search__epochs=7, search={"consistency": 0.0})
    assert whole.search == {"consistency": 0.0, "epochs": 7}


# --- scikit-learn's tools


def test_it_stands_in_a_pipeline(
    home: Path, data: tuple[list[str], list[str]], fitted: SPTClassifier
) -> None:
    texts, labels = data
    loud = [f"# {text}" for text in texts]
    clean = FunctionTransformer(lambda rows: [row.removeprefix("# ") for row in rows])
    pipe = make_pipeline(clean, tiny_estimator(home, epochs=9)).set_params(sptclassifier__epochs=4)
    pipe.fit(loud, labels)
    assert pipe.score(loud, labels) == fitted.score(texts, labels)
    assert np.array_equal(pipe.predict_proba(loud), fitted.predict_proba(texts))
    assert pipe.classes_.tolist() == ["bad", "good"]


@pytest.mark.slow
def test_folds_and_grids_score_it(home: Path, data: tuple[list[str], list[str]]) -> None:
    texts, labels = (column[:80] for column in data)
    assert cross_val_score(tiny_estimator(home), texts, labels, cv=2).min() > 0.6
    losses = cross_val_score(tiny_estimator(home), np.array(texts), labels, cv=2, scoring="neg_log_loss")
    assert losses.min() > -1
    chosen = {"layers": [[0], [3]], "training__weight_decay": [0.0]}
    grid = GridSearchCV(tiny_estimator(home), chosen, cv=2).fit(pd.Series(texts), labels)
    assert grid.best_estimator_.layers_ in ((0,), (3,))
    assert grid.best_params_.keys() == chosen.keys()
    assert grid.score(texts, labels) > 0.6


def test_a_pickle_holds_the_files_of_a_saved_prompt(
    home: Path, fitted: SPTClassifier, data: tuple[list[str], list[str]]
) -> None:
    content = pickle.dumps(fitted)
    modules = {argument for _, argument, _ in genops(content) if isinstance(argument, str)}
    assert not {name.split(".")[0] for name in modules} & {"torch", "transformers", "tokenizers"}
    assert b"prompt.safetensors" in content
    restored = pickle.loads(content)
    assert same(restored, fitted)
    assert restored.classes_.tolist() == fitted.classes_.tolist()
    again = pickle.loads(pickle.dumps(restored))
    assert same(again, fitted)
    unfitted = pickle.loads(pickle.dumps(tiny_estimator(home)))
    assert same(unfitted.fit(*data), fitted)


# --- folders


def test_a_saved_estimator_comes_back_whole(fitted: SPTClassifier, tmp_path: Path) -> None:
    fitted.save_pretrained(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"prompt.safetensors", "prompt.json", "estimator.json"}
    restored = SPTClassifier.from_pretrained(tmp_path / "model")
    assert same(restored, fitted)
    assert restored.get_params() == fitted.get_params()
    assert restored.layers_ == fitted.layers_
    assert restored.metrics_ == fitted.metrics_
    plain = PromptClassifier.from_pretrained(tmp_path / "model")
    assert [answer.label for answer in plain.predict(QUERIES)] == fitted.predict(QUERIES).tolist()
    (tmp_path / "model" / "estimator.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"estimator.json' is damaged"):
        SPTClassifier.from_pretrained(tmp_path / "model")


@pytest.mark.parametrize(
    "parameters",
    [
        {"layers": np.array([1, 3])},
        {"layers": pd.Series([1, 3])},
        {"layers": torch.tensor([1, 3])},
        {"layers": (1, 3)},
        {"layers": range(1, 4, 2)},
        {"layers": {np.int64(1): "generated", np.int64(3): "free"}},
        {"seed": np.int64(2), "epochs": np.int32(3), "cache_gb": np.float32(0.5), "verbose": np.bool_(False)},
        {
            "max_length": torch.tensor(16),
            "training": {"weight_decay": np.float64(0.5)},
            "loggers": np.array([]),
        },
        {"task": {"labels": np.array(["bad", "good"])}, "search": {"strategy": "manual"}},
    ],
    ids=str,
)
def test_parameters_of_any_kind_are_saved(
    parameters: dict[str, Any], fitted: SPTClassifier, tmp_path: Path
) -> None:
    model = copy(fitted).set_params(**parameters)
    model.save_pretrained(tmp_path / "model")
    restored = SPTClassifier.from_pretrained(tmp_path / "model")
    assert run_config(restored._run_parameters()) == run_config(model._run_parameters())
    assert restored.verbose == model.verbose


def test_folders_may_be_in_the_home_folder(
    home: Path, data: tuple[list[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    model = tiny_estimator(home, epochs=1, folder="~/run").fit(*data)
    assert model.run_ == tmp_path / "run"
    model.save_pretrained("~/saved")
    assert same(SPTClassifier.from_pretrained("~/saved"), SPTClassifier.from_pretrained("~/run/model"))
    model.classifier_.save_pretrained("~/prompt")
    assert PromptClassifier.from_pretrained(Path("~/prompt")).labels == ("bad", "good")
    assert not list((tmp_path / "here").iterdir())
    with pytest.raises(InputError, match="'~nobody-of-that-name/run' is no path"):
        tiny_estimator(home, folder="~nobody-of-that-name/run").fit(*data)


def test_the_prompt_of_a_run_comes_back_too(
    home: Path, data: tuple[list[str], list[str]], fitted: SPTClassifier
) -> None:
    folder = home / "kept"
    model = tiny_estimator(home, folder=folder).fit(*data)
    restored = SPTClassifier.from_pretrained(folder / "model")
    assert same(restored, model)
    assert same(model, fitted)
    assert restored.classes_.tolist() == ["bad", "good"]


def test_a_folder_goes_on_with_the_same_rows_alone(
    home: Path, data: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    texts, labels = data
    _, test = halves(data)
    model = tiny_estimator(home, folder=tmp_path / "run").fit(texts, labels, test=test)
    before = (tmp_path / "run" / "metrics.json").stat().st_mtime_ns
    again = tiny_estimator(home, folder=tmp_path / "run").fit(texts, labels, test=test)
    assert same(again, model)
    assert again.metrics_ == model.metrics_
    assert (tmp_path / "run" / "metrics.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match=r"began with other data .* the rows of train"):
        tiny_estimator(home, folder=tmp_path / "run").fit(texts[2:], labels[2:], test=test)
    with pytest.raises(InputError, match=r"another config \(different: training.epochs\)"):
        tiny_estimator(home, folder=tmp_path / "run", epochs=3).fit(texts, labels, test=test)


def test_nothing_is_left_without_a_folder(
    home: Path, data: tuple[list[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path / "here")
    tiny_estimator(home).fit(*data)
    with pytest.raises(InputError):
        tiny_estimator(home, layers=[9]).fit(*data)
    assert not list((tmp_path / "tmp").iterdir())
    assert not list((tmp_path / "here").iterdir())


# --- bad input


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
        ([["a", "b"], ["c"]], [0, 1], "type list in 2 rows: 1, 2"),
        ([("a", "b"), "c", ("d",)], [0, 1, 0], r"must all be pairs .* 2 rows: 2, 3"),
        (np.eye(3), [0, 1, 0], r"array of the shape \(3, 3\)"),
        (["a", "b"], [1, "1"], r"several types: .*int \(row 1\).*str \(row 2\)|several types: .*str.*int"),
        (["a", "b", "c"], [0.5, 1.0, 0.2], "Unknown label type: continuous.* 2 rows: 1, 3"),
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


def test_classes_that_no_label_has_are_of_the_type_of_the_labels() -> None:
    assert ClassValues.of([1, 0], ("0", "1", "2")).values == (0, 1, 2)
    with pytest.raises(InputError, match="names classes that are no truth values"):
        ClassValues.of([True, False], ("False", "True", "Maybe"))


def test_questions_that_cannot_be_answered_are_refused_by_row(fitted: SPTClassifier) -> None:
    with pytest.raises(InputError, match="empty in 2 rows: 2, 3"):
        fitted.predict(["great", None, float("nan")])
    with pytest.raises(InputError, match="X has 2 texts a row, but the estimator was fitted on 1"):
        fitted.predict([("great", "film")])
    with pytest.raises(InputError, match=r"label 'fine', 1 \(2 rows: 2, 3\) is none of the classes"):
        fitted.score(QUERIES[:3], ["good", "fine", 1])


def test_an_estimator_that_is_not_fitted_says_so(home: Path, tmp_path: Path) -> None:
    for call in (
        lambda model: model.predict(QUERIES),
        lambda model: model.score(QUERIES, QUERIES),
        lambda model: model.save_pretrained(tmp_path / "model"),
    ):
        with pytest.raises(NotFittedError):
            call(tiny_estimator(home))


# --- quiet

PROGRAM = """
import logging, sys, warnings
from tests.support.estimators import tiny_estimator, tiny_texts
from pathlib import Path
home = Path(sys.argv[1])
search = {"epochs": 2, "warmup_epochs": 0}
model = tiny_estimator(home, layers=None, k=1, strategy="spt_darts", search=search).fit(*tiny_texts(home))
print(model.predict(["great film"]))
model.save_pretrained(home / "quiet")
print(type(model).from_pretrained(home / "quiet").predict(["great film"]))
print(logging.getLogger("transformers").level, logging.root.manager.disable, len(warnings.filters))
"""


@pytest.mark.slow
def test_not_a_line_of_another_library_is_printed(home: Path) -> None:
    # makes the backbone, of which Hugging Face tells
    tiny_estimator(home)
    # a command that ran in this process before may have set how loud Hugging Face is
    clean = {name: value for name, value in os.environ.items() if name != "TRANSFORMERS_VERBOSITY"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**clean, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    first, second, levels = done.stdout.splitlines()
    assert first == second == "['good']"
    # the rest of the user's program hears its loggers as before
    assert levels.split()[:2] == ["30", "0"]
    assert done.stderr == ""
