"""The regression that fits a head to its end: scikit-learn's minimum, whatever the head began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from spt.architecture import PromptLayers
from spt.errors import TrialFailed
from spt.model import PromptedModel, trained
from spt.training.fit import Loader
from spt.training.head_regression import STRENGTH, fit_head
from spt.training.losses import training_loss
from spt.workbench import Workbench
from tests.support.tiny import tiny_workbench


def fitted(bench: Workbench) -> tuple[PromptedModel, Loader, Any]:
    model = bench.factory.model(PromptLayers.of([2], 4))
    loader = bench.batches("train", model).loader
    labels = bench.examples["train"].labels
    loss = training_loss(bench.training.class_weights, bench.spec.task, labels)
    return model, loader, fit_head(model, loader, loss, "32")


def features(model: PromptedModel, loader: Loader) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        batches = [(model.eval()(batch, batch.get("start")).features, batch["labels"]) for batch in loader]
    read, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    return read, labels


@pytest.mark.parametrize("class_weights", [None, {"bad": 3.0}])
def test_it_is_the_regression_of_scikit_learn(tmp_path: Path, class_weights: dict[str, float] | None) -> None:
    bench = tiny_workbench(tmp_path, training={"class_weights": class_weights})
    model, loader, result = fitted(bench)
    read, labels = features(model, loader)
    weights = np.asarray([(class_weights or {}).get(name, 1.0) for name in bench.spec.task.labels or ()])
    # torch's mean is over the weights, and two rows of weights share what scikit-learn's one row has
    strength = 2 * STRENGTH * len(labels) / weights[labels].sum()
    other = LogisticRegression(C=strength, max_iter=10_000, tol=1e-8, class_weight=dict(enumerate(weights)))
    other.fit(read.numpy(), labels.numpy())
    with torch.no_grad():
        chances = model.head.classify(read).softmax(-1)  # type: ignore[operator]
    assert np.allclose(chances.numpy(), other.predict_proba(read.numpy()), atol=2e-3)
    assert result.steps > 1


def test_the_head_begins_nowhere_and_nothing_else_moves(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path)
    model, loader, result = fitted(bench)
    first = {name: weight.detach().clone() for name, weight in trained(model)}
    with torch.no_grad():
        for weight in model.head.parameters():
            weight.fill_(7.0)
    model.train()
    labels = bench.examples["train"].labels
    again = fit_head(model, loader, training_loss(None, bench.spec.task, labels), "32")
    assert model.training
    assert again == result
    assert all(torch.equal(weight, first[name]) for name, weight in trained(model))
    assert all(weight.grad is None for _, weight in trained(model))


def test_nothing_drops_out_of_the_features(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, prompt={"dropout": 0.5})
    model, loader, first = fitted(bench)
    model.train()
    loss = training_loss(None, bench.spec.task, bench.examples["train"].labels)
    assert fit_head(model, loader, loss, "32") == first


def test_label_vectors_are_fitted_too(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, head={"kind": "label_vectors"})
    model, loader, result = fitted(bench)
    read, labels = features(model, loader)
    vectors: Tensor = model.head.vectors  # type: ignore[assignment]
    loss = torch.nn.functional.cross_entropy(model.head.classify(read), labels)  # type: ignore[operator]
    assert result.loss == pytest.approx(loss.item(), rel=1e-4)
    (loss + vectors.square().sum() / (2 * STRENGTH * len(labels))).backward()
    assert vectors.grad is not None and vectors.grad.abs().max() < 1e-3


def test_features_that_are_not_finite_are_a_failed_trial(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path)
    model = bench.factory.model(PromptLayers.of([2], 4))
    with torch.no_grad():
        for name, weight in trained(model):
            if not name.startswith("head."):
                weight.fill_(float("nan"))
    loader = bench.batches("train", model).loader
    with pytest.raises(TrialFailed, match="not finite"):
        fit_head(model, loader, torch.nn.CrossEntropyLoss(), "32")
