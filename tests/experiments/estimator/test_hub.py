"""An estimator on the hub: its labels, parameters and scores travel with its prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard, constants

from spt import SPTClassifier
from tests.support.estimators import tiny_estimator, tiny_texts
from tests.support.fake_hub import FakeHub, serving

NAME = "user/films"


@pytest.mark.slow
def test_an_estimator_comes_back_from_the_hub_with_its_labels_and_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    texts, names = tiny_texts(tmp_path)
    labels = [int(name == "good") for name in names]
    held_out = (texts[:20], labels[:20])
    model = tiny_estimator(tmp_path, epochs=1, baselines=False).fit(texts[20:], labels[20:], test=held_out)
    hub = FakeHub()
    with serving(hub):
        commit = model.push_to_hub(NAME)
        loaded = SPTClassifier.from_pretrained(NAME, revision=commit)
    assert set(hub.fetched) == {"README.md", "estimator.json", "prompt.json", "prompt.safetensors"}
    assert loaded.predict(texts[:20]).tolist() == model.predict(texts[:20]).tolist()
    assert loaded.classes_.tolist() == [0, 1]
    assert loaded.get_params()["epochs"] == 1
    (score,) = ModelCard(hub.commits[NAME][commit]["README.md"].decode()).data.eval_results
    assert score.metric_value == pytest.approx(model.metrics_["test_accuracy"], abs=1e-4)
