"""Scores: the rows' own order, no gradients, no dropout, and what the task's metric says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from spt.answers.decisions import best_thresholds
from spt.data.encoded.batches import make_loader
from spt.data.encoded.examples import Example
from spt.errors import TrialFailed
from spt.evaluation import evaluate, finite_probabilities, probabilities
from spt.heads import ClassificationHead
from spt.model import PromptedModel
from spt.prompts.choices import InsertPrompt, Propagate
from spt.prompts.config import PromptConfig
from spt.prompts.generators import new_generator
from spt.tasks import get_task
from tests.support.families import HIDDEN, shared_backbone
from tests.support.tiny import make_tokenizer

LENGTHS = [3, 9, 5, 9, 2, 7, 4]
LABELS = [0, 1, 1, 0, 1, 1, 1]
CUSTOM = get_task("custom")


@pytest.fixture(scope="module")
def model() -> PromptedModel:
    torch.manual_seed(0)
    config = PromptConfig(length=2, bottleneck=8, phm_order=1, dropout=0.5)
    choices = [Propagate(), InsertPrompt(new_generator(HIDDEN, config, seed=1)), Propagate()]
    return PromptedModel(shared_backbone("bert", "sdpa"), choices, ClassificationHead(HIDDEN, 2))


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    generator = torch.Generator().manual_seed(0)
    return [
        Example(input_ids=torch.randint(4, 60, (length,), generator=generator).tolist(), label=label, row=row)
        for row, (length, label) in enumerate(zip(LENGTHS, LABELS, strict=True))
    ]


def loader(examples: list[Example], batch_size: int, seed: int | None = None) -> object:
    return make_loader(examples, make_tokenizer(), batch_size, seed)


@torch.no_grad()
def alone(model: PromptedModel, example: Example) -> torch.Tensor:
    """Class probabilities of one row, without padding."""
    ids = torch.tensor([example["input_ids"]])
    return model({"input_ids": ids, "attention_mask": torch.ones_like(ids)}).logits.softmax(-1)[0]


@pytest.mark.parametrize(("batch_size", "seed"), [(1, None), (3, None), (3, 5), (100, None)])
def test_probabilities_are_in_the_order_of_the_rows(
    model: PromptedModel, examples: list[Example], batch_size: int, seed: int | None
) -> None:
    chances, labels = probabilities(model, loader(examples, batch_size, seed), CUSTOM)
    assert labels.tolist() == LABELS
    expected = torch.stack([alone(model.eval(), example) for example in examples])
    np.testing.assert_allclose(chances, expected, atol=1e-5)
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-6)


def test_a_model_in_training_is_scored_without_dropout(model: PromptedModel, examples: list[Example]) -> None:
    model.train()
    scored = probabilities(model, loader(examples, 3), CUSTOM)[0]
    assert model.training
    np.testing.assert_array_equal(scored, probabilities(model.eval(), loader(examples, 3), CUSTOM)[0])
    assert not model.training


def test_nothing_is_kept_for_a_gradient(
    model: PromptedModel, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    real = type(model.head).forward

    def forward(self: object, *arguments: object) -> object:
        modes.append(torch.is_inference_mode_enabled())
        return real(self, *arguments)

    monkeypatch.setattr(type(model.head), "forward", forward)
    probabilities(model, loader(examples, 3), CUSTOM)
    assert modes == [True] * 3


@pytest.mark.parametrize(
    ("metric", "score"),
    [
        ("accuracy", lambda y, p: np.mean(y == p)),
        ("f1", f1_score),
        ("accuracy_and_f1", lambda y, p: (np.mean(y == p) + f1_score(y, p)) / 2),
        ("matthews", lambda y, p: np.corrcoef(y, p)[0, 1]),
    ],
)
def test_evaluate_scores_by_the_tasks_metric(
    model: PromptedModel, examples: list[Example], metric: str, score: object
) -> None:
    batches = loader(examples, 3)
    chances, labels = probabilities(model, batches, CUSTOM)
    with torch.no_grad():
        # so that both classes are answered
        shift = torch.from_numpy(np.log(chances)).diff(dim=1).median()
        model.head.linear.bias[0] += shift
    predictions = probabilities(model, batches, CUSTOM)[0].argmax(-1)
    assert set(predictions) == {0, 1}
    found = evaluate(model, batches, get_task("custom", metric=metric))
    assert found["accuracy"] == pytest.approx(np.mean(labels == predictions))
    assert found["metric"] == pytest.approx(score(labels, predictions))  # type: ignore[operator]


@pytest.mark.parametrize("several", [False, True])
def test_probabilities_that_are_not_finite_are_never_a_score(
    model: PromptedModel, examples: list[Example], several: bool
) -> None:
    task = get_task("custom", labels=["a", "b"], multi_label=several)
    batches = loader(examples, 3)
    with torch.no_grad():
        before = model.head.linear.bias.clone()
        model.head.linear.bias[1] = float("nan")
    try:
        for scored in (finite_probabilities, evaluate):
            with pytest.raises(TrialFailed, match=r"probabilities of 7 of 7 rows are not finite\. Lower"):
                scored(model, batches, task)
    finally:
        model.head.linear.bias.data = before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_model_on_a_gpu_takes_batches_from_the_cpu(model: PromptedModel, examples: list[Example]) -> None:
    expected = probabilities(model, loader(examples, 3), CUSTOM)[0]
    try:
        found = probabilities(model.to("cuda"), loader(examples, 3), CUSTOM)[0]
    finally:
        model.to("cpu")
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_several_labels_without_thresholds_get_those_that_are_best_here(model: PromptedModel) -> None:
    task = get_task("custom", labels=["a", "b"], multi_label=True)
    rows = [
        Example(input_ids=[5 + row] * length, label=[float(row % 2), float(row < 3)], row=row)
        for row, length in enumerate(LENGTHS)
    ]
    chances, labels = probabilities(model, loader(rows, 3), task)
    best = best_thresholds(labels, chances)
    without = evaluate(model, loader(rows, 3), task)
    assert without == evaluate(model, loader(rows, 3), task, best)
    assert without["metric"] > evaluate(model, loader(rows, 3), task, (0.5, 0.5))["metric"]
