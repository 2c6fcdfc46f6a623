"""The model card: what the hub reads of it, and that no name in it does more than be shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from spt.hub.model_card import code, hub_base_model, write_model_card
from spt.prompts.config import PromptConfig
from spt.spec import BackboneConfig, HeadConfig, ModelSpec
from spt.tasks import Task, get_task

METRICS: dict[str, Any] = {
    "task": "trec",
    "backbone": "minilm-l6",
    "strategy": "spt_darts",
    "seed": 7,
    "dev_accuracy": 0.912,
    "test_accuracy": 0.934,
    "test_f1": 0.905,
    "metric": "accuracy",
    "dev_metric": 0.912,
    "test_metric": 0.934,
    "prompt_parameters": 22_912,
    "head_parameters": 2_310,
    "tunable_parameters": 25_222,
    "train_size": 600,
    "dev_size": 300,
    "test_size": 500,
}
MATTHEWS = {"metric": "matthews", "dev_metric": 0.871, "test_metric": 0.862}
HOSTILE = "x|y`z</td><script>alert(1)</script> [a](http://evil) **b** $c$\n---\n# d"


def card(
    folder: Path,
    task: str = "trec",
    backbone: str = "minilm-l6",
    metrics: dict[str, Any] | None = METRICS,
    changes: dict[str, Any] | None = None,
    data_set: str | None = None,
    **prompt: Any,
) -> ModelCard:
    spec = ModelSpec(
        backbone=BackboneConfig(name=backbone),
        head=HeadConfig(),
        prompt=PromptConfig(**prompt),
        task=Task.model_validate({**get_task(task).model_dump(exclude_unset=True), **(changes or {})}),
        max_length=96,
    )
    saved = {
        "spec": spec.model_dump(mode="json"),
        "architecture": {"layers": [1, 5], "total": 6},
        "versions": {},
    }
    (folder / "prompt.json").write_text(json.dumps(saved), encoding="utf-8")
    baselines = {"majority class": 0.2, "TF-IDF and logistic regression": 0.81}
    path = write_model_card(folder, metrics, baselines, data_set)
    return ModelCard.load(path)


def test_the_card_says_what_the_prompt_is(tmp_path: Path) -> None:
    text = card(tmp_path, length=12).text
    for said in (
        "1, 5, of 0 to 5",
        "12 vectors",
        "`DESC`, `ENTY`",
        "93.4 %",
        "seed 7",
        "96 tokens",
        "Apache-2.0",
    ):
        assert said in text


def test_the_results_stand_in_a_sentence_with_their_interval(tmp_path: Path) -> None:
    text = " ".join(card(tmp_path).text.split())
    # Wilson's, of 467 of 500
    assert "93.4 % are answered right (95 % interval over rows: 90.9 % to 95.3 %)." in text
    assert (
        "The best answer that needs no prompt, TF-IDF and logistic regression, has accuracy 81.0 %." in text
    )


def test_the_hub_reads_scores_task_and_library(tmp_path: Path) -> None:
    data = card(tmp_path, "cola", metrics={**METRICS, **MATTHEWS}, data_set="nyu-mll/glue").data
    assert (data.library_name, data.pipeline_tag) == ("spt-nas", "text-classification")
    assert (data.datasets, data.metrics) == (["nyu-mll/glue"], ["matthews_correlation", "accuracy"])
    found = {result.metric_type: result.metric_value for result in data.eval_results}
    assert found == {"matthews_correlation": 0.862, "accuracy": 0.934}
    assert {(result.dataset_type, result.dataset_name) for result in data.eval_results} == {
        ("nyu-mll/glue", "cola")
    }


def test_data_of_elsewhere_are_named_without_a_link(tmp_path: Path) -> None:
    data = card(tmp_path).data
    assert data.datasets is None
    assert {result.dataset_type for result in data.eval_results} == {"custom"}


@pytest.mark.parametrize("backbone", ["google-bert/bert-base-uncased", "gpt2"])
def test_a_base_model_of_the_hub_is_linked(backbone: str, tmp_path: Path) -> None:
    assert card(tmp_path, backbone=backbone).data.base_model == backbone
    assert "not pinned" in card(tmp_path, backbone=backbone).text


@pytest.mark.parametrize("backbone", ["minilm-l6", "e5-small"])
def test_an_embedded_backbone_is_no_link(backbone: str, tmp_path: Path) -> None:
    found = card(tmp_path, backbone=backbone)
    assert found.data.base_model is None
    assert backbone in found.text
    assert "not pinned" not in found.text


def test_a_folder_is_no_link_and_its_path_is_not_told(tmp_path: Path) -> None:
    folder = tmp_path / "secret" / "encoder"
    folder.mkdir(parents=True)
    found = card(tmp_path, backbone=str(folder))
    assert hub_base_model(str(folder)) is None
    assert found.data.base_model is None
    assert "secret" not in str(found)
    assert "`encoder`" in found.text
    assert "The base model is not on the hub" in found.text


def test_names_are_shown_and_do_nothing(tmp_path: Path) -> None:
    changes = {"name": HOSTILE, "labels": [HOSTILE, "b"]}
    found = card(tmp_path, "custom", changes=changes)
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", found.text)
    for part in ("script", "evil", "**b**", "$c$", "alert"):
        assert part in found.text
        assert part not in outside
    # neither a title nor an end of the metadata of its own
    assert not re.search(r"^(# d|---)$", found.text, re.MULTILINE)
    assert found.data.eval_results[0].dataset_name == " ".join(HOSTILE.split())
    assert found.data.pipeline_tag == "text-classification"
    (row,) = [line for line in found.text.splitlines() if line.startswith("| labels")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain_name", "`plain_name`"),
        ("a|b", r"`a\|b`"),
        ("a`b", "``a`b``"),
        ("`a`", "`` `a` ``"),
        ("a\n b", "`a b`"),
    ],
)
def test_code_is_as_markdown_wants_it(text: str, shown: str) -> None:
    assert code(text) == shown


@pytest.mark.parametrize(
    "metrics", [None, {"task": "trec", "dev_metric": 0.9, "strategy": "random"}], ids=["none", "dev"]
)
def test_a_card_without_scores_says_so(metrics: dict[str, Any] | None, tmp_path: Path) -> None:
    found = card(tmp_path, metrics=metrics)
    assert "None were given" in found.text
    assert found.data.eval_results is None
    assert "interval" not in found.text


@pytest.mark.parametrize(("task", "arguments"), [("trec", 1), ("rte", 2)])
def test_the_card_shows_how_to_load_it(task: str, arguments: int, tmp_path: Path) -> None:
    snippet = re.findall(r"```python\n(.*?)```", card(tmp_path, task).text, re.DOTALL)[0]
    compile(snippet, "card", "exec")
    assert snippet.count("[") == arguments


def test_the_card_adds_the_score_that_selects(tmp_path: Path) -> None:
    assert "Matthews" not in card(tmp_path).text
    text = card(tmp_path, "cola", metrics={**METRICS, **MATTHEWS}).text
    assert "| Matthews correlation |" in text
    assert "86.2 %" in text
