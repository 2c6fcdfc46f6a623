"""Weights of classes and several labels a text, from the config to metrics and answers, in every strategy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from experiments import pipeline
from experiments.run.results import RunMetrics
from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from spt.serving.ensemble import PromptEnsemble
from spt.serving.predictions import LabelSet
from spt.serving.request import Request
from spt.serving.server import PromptServer
from strategies.options import SCORING
from tests.support.runs import tiny_config
from tests.support.searches import SEARCHED, TRIALS, candidates, config, searched
from tests.support.tiny import make_label_sets, tiny_tree

TASK = {"multi_label": True, "label_words": None}
TEXTS = ["the film was lovely", "dull and awful", "the plot", "lovely and dull"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    tiny_tree(folder)
    make_label_sets(folder / "sets.jsonl")
    return folder


def of_sets(run: Any, home: Path, **data: Any) -> Any:
    """The configuration over the rows of several labels."""
    changed = {"train": home / "sets.jsonl", **data}
    return run.model_copy(update={"data": run.data.model_copy(update=changed)})


@pytest.fixture(scope="module")
def whole(home: Path) -> tuple[Path, RunMetrics]:
    training = {"epochs": 12, "learning_rate": 0.02}
    run = tiny_config(home, task=TASK, training=training, search={"strategy": "manual", "manual_layers": [1]})
    return home / "whole", pipeline.run(of_sets(run, home), home / "whole")


@pytest.mark.parametrize("name", SEARCHED)
def test_every_strategy_searches_with_several_labels(name: str, home: Path, tmp_path: Path) -> None:
    result = pipeline.search(of_sets(config(home, name, task=TASK), home), tmp_path)
    assert len(result.layers) == 2
    scores = list((result.scores or {}).values())
    # those of dev, or of gates; a probe's and a gradient's have no bounds
    assert all(math.isfinite(score) and (name in SCORING or 0 < score < 1) for score in scores)


def test_a_run_of_several_labels_is_better_than_all_labels_for_all(whole: tuple[Path, RunMetrics]) -> None:
    # every class is that of half of the rows
    everything = 2 / 3
    folder, metrics = whole
    assert metrics.metric == "macro_f1"
    assert metrics.test_metric == metrics.test_macro_f1 == metrics.test_f1
    assert metrics.dev_metric > everything
    assert 0 < (metrics.test_label_ranking or 0) <= 1
    assert RunMetrics.read(folder / "metrics.json") == metrics


def test_the_saved_prompt_has_the_thresholds_that_dev_chose(whole: tuple[Path, RunMetrics]) -> None:
    classifier = PromptClassifier.from_pretrained(whole[0] / "model")
    thresholds = classifier.spec.answers.thresholds
    assert thresholds is not None and len(thresholds) == 2 and set(thresholds) != {0.5}
    for answer in classifier.predict(TEXTS):
        assert isinstance(answer, LabelSet)
        assert answer.probabilities.keys() == {"bad", "good"}
        limits = dict(zip(("bad", "good"), thresholds, strict=True))
        assert answer.labels == tuple(
            name for name, chance in answer.probabilities.items() if chance >= limits[name]
        )


def test_probabilities_of_several_labels_are_calibrated_on_dev(
    whole: tuple[Path, RunMetrics], home: Path, tmp_path: Path
) -> None:
    folder, metrics = whole
    answers = metrics.answers
    assert answers is not None and answers.temperature != 1 and answers.threshold is None
    assert answers.dev.calibrated.nll < answers.dev.uncalibrated.nll
    assert not answers.test.selective_accuracy
    assert PromptClassifier.from_pretrained(folder / "model").spec.answers.temperature == answers.temperature
    assert f"temperature of {answers.temperature:.2f}" in (folder / "report.html").read_text(encoding="utf-8")
    # nothing but the probabilities changes
    training = {"epochs": 12, "learning_rate": 0.02}
    manual = {"strategy": "manual", "manual_layers": [1]}
    plain = tiny_config(home, task=TASK, training=training, search=manual, answers={"calibrate": False})
    other = pipeline.run(of_sets(plain, home), tmp_path / "plain")
    assert other.answers is not None and other.answers.temperature == 1
    assert other.answers.test.calibrated == answers.test.uncalibrated
    assert other.test_metric == pytest.approx(metrics.test_metric, abs=0.1)


def test_a_server_and_an_ensemble_answer_with_label_sets(whole: tuple[Path, RunMetrics]) -> None:
    classifier = PromptClassifier.from_pretrained(whole[0] / "model")
    expected = classifier.predict(TEXTS)
    served = PromptServer({"it": classifier}).predict([Request("it", text) for text in TEXTS])
    votes = PromptEnsemble([classifier, classifier]).predict(TEXTS)
    for one, other, voted in zip(expected, served, votes, strict=True):
        assert isinstance(one, LabelSet) and isinstance(other, LabelSet) and isinstance(voted, LabelSet)
        assert one.labels == other.labels == voted.labels
        assert other.probabilities == pytest.approx(one.probabilities, abs=1e-5)
        assert voted.probabilities == {name: float(name in one.labels) for name in ("bad", "good")}


# a probe has no loss
@pytest.mark.parametrize("name", [name for name in SEARCHED if name != "probe"])
def test_class_weights_change_what_every_strategy_finds(name: str, home: Path, tmp_path: Path) -> None:
    scores = {}
    for kind, training in {"plain": {}, "weighted": {"class_weights": {"good": 100.0}}}.items():
        result = searched(home, tmp_path / kind, name, training=training)
        tried = candidates(tmp_path / kind / name) if name in TRIALS else []
        scores[kind] = result["scores"] or [candidate["dev"] for candidate in tried]
    assert scores["plain"] != scores["weighted"]


def test_a_run_tells_the_weights_and_a_weight_of_no_class_is_refused_before_it_writes(
    home: Path, tmp_path: Path
) -> None:
    manual = {"strategy": "manual", "manual_layers": [1]}
    wrong = tiny_config(home, search=manual, training={"class_weights": {"goood": 2}})
    with pytest.raises(InputError, match=r"Unknown class 'goood'\. Did you mean 'good'"):
        pipeline.run(wrong, tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()
    right = tiny_config(home, search=manual, training={"class_weights": "balanced", "epochs": 1})
    weights = pipeline.run(right, tmp_path / "right").class_weights
    assert weights == pytest.approx({"bad": 1.0, "good": 1.0})


@pytest.mark.parametrize("kind", ["verbalizer", "label_vectors", "text_to_text"])
def test_a_head_of_one_label_a_text_is_refused_in_the_config(kind: str, home: Path) -> None:
    with pytest.raises(InputError, match=f"head.kind is {kind}, .* Set head.kind to classification"):
        tiny_config(home, task=TASK, head={"kind": kind})
