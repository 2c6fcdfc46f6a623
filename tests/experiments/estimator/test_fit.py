"""What `SPTClassifier.fit` leaves: what it found, a folder or none, and not a line of other libraries."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import spt
from experiments.estimator import SPTClassifier
from experiments.run.results import RunMetrics
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from tests.support.estimators import QUERIES, same, tiny_estimator
from tests.support.loaded import loaded_by

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("no_report")


def halves(
    data: tuple[list[str], list[str]],
) -> tuple[tuple[list[str], list[str]], tuple[list[str], list[str]]]:
    texts, labels = data
    return (texts[:80], labels[:80]), (texts[80:], labels[80:])


def test_the_front_door_hands_it_on() -> None:
    assert spt.SPTClassifier is SPTClassifier
    assert SPTClassifier.__module__ == "experiments.estimator"


def test_importing_it_loads_scikit_learn_alone() -> None:
    code = "from spt import SPTClassifier; SPTClassifier(k=2).get_params()"
    assert loaded_by(code) == {"sklearn"}


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


def test_a_fit_leaves_threads_and_random_states_as_they_were(
    home: Path, data: tuple[list[str], list[str]], fitted: SPTClassifier
) -> None:
    def state() -> bytes:
        states = (random.getstate(), np.random.get_state(), torch.get_rng_state().tolist())
        return pickle.dumps((torch.get_num_threads(), *states))

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        before = state()
        # one thread, by which the bits are those of the other
        assert same(tiny_estimator(home, threads=1).fit(*data), fitted)
        assert state() == before
        with pytest.raises(InputError):
            tiny_estimator(home, threads=1, layers=[9]).fit(*data)
        assert state() == before
    finally:
        torch.set_num_threads(threads)


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
    # of a class of one row, which a fold cannot have on both sides
    rare = ["rare", *labels[1:]]
    assert cross_val_score(tiny_estimator(home), texts, rare, cv=2, error_score="raise").min() > 0.5
    columns = np.array([[label == name for name in ("good", "bad", "rare")] for label in rare])
    several = tiny_estimator(home, task={"multi_label": True})
    for scoring in (None, "f1_micro"):
        folds = cross_val_score(several, texts, columns, cv=2, scoring=scoring, error_score="raise")
        assert folds.min() > 0.3
    chosen = {"layers": [[0], [3]], "training__weight_decay": [0.0]}
    grid = GridSearchCV(tiny_estimator(home), chosen, cv=2).fit(pd.Series(texts), labels)
    assert grid.best_estimator_.layers_ in ((0,), (3,))
    assert grid.best_params_.keys() == chosen.keys()
    assert grid.score(texts, labels) > 0.6


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
