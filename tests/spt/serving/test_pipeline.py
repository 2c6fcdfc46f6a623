"""A prompt called as a pipeline: the forms that transformers' own gives, with the prompt's probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertForSequenceClassification, pipeline

from spt.errors import InputError
from spt.serving.classifier import PromptClassifier
from spt.serving.pipeline import TextClassificationPipeline
from tests.support.classifiers import TEXTS, classifier
from tests.support.tiny import make_tokenizer

FORMS: list[Any] = [
    "it was great",
    {"text": "it was great"},
    ["it was great", "dull"],
    [{"text": "it was great"}, {"text": "dull"}],
    [],
]


@pytest.fixture(scope="module")
def prompt(tmp_path_factory: pytest.TempPathFactory) -> PromptClassifier:
    return classifier(tmp_path_factory.mktemp("home"), (2,))


@pytest.fixture(scope="module")
def stock() -> Any:
    """The pipeline of transformers over a random model with the same labels."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label={0: "bad", 1: "good"},
    )
    model = BertForSequenceClassification(config).eval()
    return pipeline("text-classification", model=model, tokenizer=make_tokenizer())


def form(value: Any) -> Any:
    """The containers and keys of an answer, without its labels and scores."""
    if isinstance(value, list):
        return [form(each) for each in value]
    return sorted((key, type(each).__name__) for key, each in value.items())


@pytest.mark.parametrize(
    "options", [{}, {"top_k": 1}, {"top_k": None}, {"top_k": 2, "batch_size": 1}], ids=str
)
@pytest.mark.parametrize("inputs", FORMS, ids=str)
def test_answers_have_the_form_that_transformers_gives(
    inputs: Any, options: dict[str, Any], prompt: PromptClassifier, stock: Any
) -> None:
    # theirs fails on an empty list
    expected = stock(inputs, **options) if inputs else []
    assert form(prompt.pipeline()(inputs, **options)) == form(expected)


def test_options_of_the_pipeline_itself_give_the_form_of_transformers(
    prompt: PromptClassifier, stock: Any
) -> None:
    theirs = pipeline("text-classification", model=stock.model, tokenizer=stock.tokenizer, top_k=None)
    ours = prompt.pipeline(top_k=None)
    for inputs in FORMS[:-1]:
        assert form(ours(inputs)) == form(theirs(inputs))


def test_scores_are_the_prompts_probabilities_likeliest_first(prompt: PromptClassifier) -> None:
    chances = prompt.predict_proba(TEXTS)
    answers = prompt.pipeline(batch_size=2)(TEXTS, top_k=None)
    assert isinstance(answers, list)
    for row, answer in zip(chances, answers, strict=True):
        assert isinstance(answer, list)
        assert [each["score"] for each in answer] == pytest.approx(sorted(row, reverse=True), abs=1e-6)
        assert answer[0]["label"] == prompt.labels[row.argmax()]


def test_a_generator_is_read_as_far_as_answers_are_asked_for(prompt: PromptClassifier) -> None:
    read: list[str] = []

    def texts() -> Iterator[str]:
        for text in TEXTS:
            read.append(text)
            yield text

    answers = prompt.pipeline(batch_size=2)(texts())
    assert not isinstance(answers, list | dict)
    first = next(answers)
    assert (first["label"], read) == (prompt.predict(TEXTS[:1])[0].label, TEXTS[:2])
    assert len(list(answers)) == len(TEXTS) - 1


def test_a_column_of_a_data_set_is_answered(prompt: PromptClassifier) -> None:
    datasets = pytest.importorskip("datasets")
    labels = [answer.label for answer in prompt.predict(TEXTS)]
    column = datasets.Dataset.from_dict({"text": TEXTS})["text"]
    for texts in (column, pd.Series(TEXTS), pa.array(TEXTS), pa.chunked_array([TEXTS[:1], TEXTS[1:]])):
        assert [each["label"] for each in prompt.pipeline()(texts)] == labels


def test_pairs_are_mappings(tmp_path: Path) -> None:
    rows = tmp_path / "pairs.csv"
    lines = [f"film {row},it was {'dull' if row % 2 else 'fine'},{row % 2}" for row in range(160)]
    rows.write_text("\n".join(["a,b,label", *lines]), encoding="utf-8")
    task = {"name": "custom", "text": "a", "text_pair": "b"}
    paired = classifier(tmp_path, (2,), task=task, data={"train": str(rows)})
    (answer,) = paired.pipeline()([{"text": "the film", "text_pair": "it was fine"}])
    assert answer["label"] == paired.predict(["the film"], ["it was fine"])[0].label
    with pytest.raises(InputError, match=r'Input 2 of the pipeline is str, but .* "text_pair"'):
        paired.pipeline()([{"text": "the film", "text_pair": "it was fine"}, "alone"])


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (["fine", 3], "Input 2 of the pipeline is int"),
        (["fine", " "], "pipeline's input is empty in row 2"),
        ([["fine", "dull"]], "Input 1 of the pipeline is list"),
        ({"text": "fine", "text_pair": "dull"}, "Input 1 of the pipeline is keys text, text_pair"),
        (7, "was given int"),
        (pd.DataFrame({"text": ["fine"], "id": [1]}), "was given DataFrame, .* a column of a table"),
        (pa.table({"text": ["fine"]}), "was given Table"),
        ({"fine", "dull"}, "was given set"),
        (b"fine", "was given bytes"),
    ],
)
def test_what_is_no_text_is_refused_by_its_number(inputs: Any, said: str, prompt: PromptClassifier) -> None:
    with pytest.raises(InputError, match=said):
        prompt.pipeline()(inputs)


def test_a_row_of_a_later_batch_is_named_by_its_own_number(prompt: PromptClassifier) -> None:
    with pytest.raises(InputError, match="row 4"):
        prompt.pipeline(batch_size=2)(["fine", "dull", "fine", ""])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"top_k": 0}, "top_k is 0, but must be 1 or more, or None"),
        ({"top_k": True}, "top_k is True"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"function_to_apply": "none"}, "function_to_apply: scores are the prompt's probabilities"),
        ({"truncation": True, "colour": 1}, "truncation: .* colour: it is unknown"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    options: dict[str, Any], said: str, prompt: PromptClassifier
) -> None:
    with pytest.raises(InputError, match=said):
        prompt.pipeline(**options)
    with pytest.raises(InputError, match=said):
        prompt.pipeline()("fine", **options)


def test_of_several_labels_each_has_its_own_probability() -> None:
    def chances(texts: Sequence[str], *_: object) -> NDArray[Any]:
        return np.array([[0.9, 0.2, 0.8]] * len(texts))

    answers = TextClassificationPipeline(chances, ("a", "b", "c"), paired=False)
    found = answers("anything", top_k=2)
    assert isinstance(found, list)
    assert [(each["label"], round(each["score"], 1)) for each in found] == [("a", 0.9), ("c", 0.8)]
