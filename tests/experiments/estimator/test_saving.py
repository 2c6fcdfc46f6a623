"""A fitted `SPTClassifier` comes back from a folder, the home folder among them, and from a pickle."""

from __future__ import annotations

import json
import pickle
from copy import copy
from pathlib import Path
from pickletools import genops
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from experiments.estimator import SPTClassifier
from experiments.fitting.parameters import run_config
from experiments.fitting.session import FittedRun
from spt.errors import InputError
from spt.serving import saved_prompt
from spt.serving.classifier import PromptClassifier
from tests.support.estimators import QUERIES, same, tiny_estimator
from tests.support.places import check_no_place_is_refused


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


def test_a_save_that_fails_leaves_the_estimator_that_was_there(
    fitted: SPTClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted.save_pretrained(tmp_path / "model")
    written: list[str] = []

    def full(path: Path, text: str) -> None:
        written.append(path.name)
        if path.name == "estimator.json":
            raise OSError(28, "No space left on device")
        path.write_text(text, encoding="utf-8")

    monkeypatch.setattr(saved_prompt, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        copy(fitted).set_params(seed=7).save_pretrained(tmp_path / "model")
    assert "estimator.json" in written
    assert same(SPTClassifier.from_pretrained(tmp_path / "model"), fitted)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"classes": {"names": ["good", "bad"], "values": ["good", "bad"]}},
            "good, bad, but .* of bad, good",
        ),
        (
            {"classes": {"names": ["bad", "nice"], "values": [0, 1]}},
            "of the classes bad, nice, but the prompt",
        ),
        ({"classes": {"names": ["bad", "good"], "values": [0]}}, "2 classes have 1 different values"),
        ({"classes": {"names": ["bad", "good"], "values": [0, 1], "dtype": "zz"}}, "0, 1 are not 'zz'"),
        ({"metrics": {"gates": {"x": 0.5}}}, "gates are no numbers by layer"),
        ({"metrics": {"scores": [1, 2]}}, "scores are no numbers by layer"),
    ],
    ids=str,
)
def test_a_file_of_another_prompt_or_by_another_hand_is_refused(
    changes: dict[str, Any], message: str, fitted: SPTClassifier, tmp_path: Path
) -> None:
    fitted.save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "estimator.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}), encoding="utf-8")
    with pytest.raises(InputError, match=rf"estimator.json' .*{message}"):
        SPTClassifier.from_pretrained(tmp_path / "model")


def test_the_folder_of_a_run_is_refused_with_that_of_its_prompt(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "prompt.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=rf"but of a run, .*: give '{tmp_path}/model'"):
        SPTClassifier.from_pretrained(tmp_path)


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
    parameters: dict[str, Any],
    data: tuple[list[str], list[str]],
    fitted: SPTClassifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = FittedRun(fitted.classifier_, fitted._classes, fitted.metrics_)
    monkeypatch.setattr("experiments.fitting.session.fit_rows", lambda *_: run)
    model = clone(fitted).set_params(**parameters).fit(*data)
    model.save_pretrained(tmp_path / "model")
    restored = SPTClassifier.from_pretrained(tmp_path / "model")
    assert run_config(restored._run_parameters()) == run_config(model._run_parameters())
    assert restored.verbose == model.verbose


def test_parameters_that_are_set_after_a_fit_are_not_saved(
    data: tuple[list[str], list[str]], fitted: SPTClassifier, tmp_path: Path
) -> None:
    model = copy(fitted).set_params(data={"incomplete": "drop"}, task__label="other", seed=7)
    model.save_pretrained(tmp_path / "model")
    restored = SPTClassifier.from_pretrained(tmp_path / "model")
    assert restored.get_params() == fitted.get_params()
    table = pd.DataFrame(dict(zip(("text", "label"), data, strict=True)))
    assert restored.score(table) == model.score(table) == fitted.score(*data)


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


@pytest.mark.parametrize("place", [None, 3])
def test_what_is_no_place_is_refused_before_any_work(
    place: Any, fitted: SPTClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_no_place_is_refused(place, fitted, monkeypatch)


def test_the_prompt_of_a_run_comes_back_too(
    home: Path, data: tuple[list[str], list[str]], fitted: SPTClassifier
) -> None:
    folder = home / "kept"
    model = tiny_estimator(home, folder=folder).fit(*data)
    restored = SPTClassifier.from_pretrained(folder / "model")
    assert same(restored, model)
    assert same(model, fitted)
    assert restored.classes_.tolist() == ["bad", "good"]
