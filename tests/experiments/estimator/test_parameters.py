"""Parameters of `SPTClassifier`: each is a key of a run, and a wrong one is told with what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from experiments.config import RunConfig
from experiments.estimator import SPTClassifier
from experiments.fitting.parameters import OF_FILES, SECTIONS, SHORT_NAMES, run_config
from experiments.pipeline import Pipeline
from spt.data.config import DataConfig
from spt.data.values import clean_labels
from spt.errors import InputError
from spt.tasks import get_task
from spt.training.by_rows import suited_to_rows
from spt.training.config import TrainingConfig
from strategies.options import OPTIONS, EvolutionOptions, GradientOptions, ManualOptions
from tests.support.estimators import tiny_estimator


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


@pytest.mark.parametrize("strategy", sorted(OPTIONS.keys() - {"manual"}))
def test_any_strategy_is_taken_by_name(strategy: str) -> None:
    assert run_config({"strategy": strategy}).search == OPTIONS[strategy]()


def test_layers_by_hand_are_given_and_may_be_none() -> None:
    assert run_config({"layers": []}).search == ManualOptions(manual_layers=())
    with pytest.raises(InputError, match="manual_layers is missing"):
        run_config({"strategy": "manual"})


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


@pytest.mark.parametrize(
    ("key", "name"),
    [(1, "1"), (1.0, "1"), (np.float32(1), "1"), (np.int64(-1), "-1"), (True, "True"), ("good ", "good")],
    ids=repr,
)
def test_class_weights_name_classes_as_labels_do(key: Any, name: str) -> None:
    assert clean_labels([key], "It") == [name]
    assert run_config({"training": {"class_weights": {key: 2.0}}}).training.class_weights == {name: 2.0}
    # where YAML is read
    assert TrainingConfig(class_weights={key: 2.0}).class_weights == {name: 2.0}


def test_a_parameter_that_changes_nothing_is_said(
    tmp_path: Path, data: tuple[list[str], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    training = {"contrastive_steps": 2, "patience": 1}
    tiny_estimator(tmp_path, epochs=None, batch_size=None, training=training).fit(*data)
    assert "training.learning_rate, training.patience is set but not read" in caplog.text
