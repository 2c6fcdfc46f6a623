import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from spt.architecture import PromptLayers
from spt.prompts.config import PromptConfig
from spt.reports import page
from spt.reports.run_page import write_model_card, write_report
from spt.spec import BackboneConfig, HeadConfig, ModelSpec
from spt.tasks import get_task

GATES = {"0": 0.41, "1": 0.52, "2": 0.63}
METRICS: dict[str, Any] = {
    "task": "trec",
    "backbone": "<script>alert(1)</script>",
    "strategy": "spt_darts",
    "seed": 7,
    "dev_accuracy": 0.912,
    "test_accuracy": 0.934,
    "test_f1": 0.905,
    "metric": "matthews",
    "dev_metric": 0.871,
    "test_metric": 0.862,
    "gates": GATES,
    "scores": {"0": 0.111, "1": 0.222, "2": 0.333},
    "prompt_parameters": 22_912,
    "head_parameters": 2_310,
    "tunable_parameters": 25_222,
    "search_seconds": 12.3,
    "train_seconds": 45.6,
    "search_steps": 50,
    "train_steps": 1_057,
    "train_epochs": 3,
    "train_size": 600,
    "dev_size": 300,
    "test_size": 500,
}


def fill(folder: Path) -> None:
    """A run folder without a search's curves."""
    run = {"name": "my run", "task": {"metric": "accuracy"}}
    config = {"run": run, "versions": {"torch": "2.13.0"}, "machine": {"cores": 2}}
    (folder / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    PromptLayers.of([2], 3).save(folder / "architecture.json")


def add_curves(folder: Path) -> None:
    for stage in ("search", "train"):
        (folder / stage).mkdir()
        lines = [json.dumps({"epoch": epoch, "dev": 0.5 + epoch / 10}) for epoch in range(3)]
        (folder / stage / "history.jsonl").write_text("\n".join(lines), encoding="utf-8")
    lines = [
        json.dumps({"epoch": epoch, "step": step, "gates": GATES}) for epoch in (0, 1) for step in (0, 9)
    ]
    (folder / "search" / "gates.jsonl").write_text("\n".join(lines), encoding="utf-8")


def test_the_report_shows_numbers_and_layers(tmp_path: Path) -> None:
    fill(tmp_path)
    add_curves(tmp_path)
    html = write_report(tmp_path, METRICS).read_text(encoding="utf-8")
    for shown in ("my run", "93.4 %", "91.2 %", "25,222", "seed 7", "2.13.0", "gate 0.63", "score 0.333"):
        assert shown in html
    stack = re.findall(r'<li class="(\w+)"><span>layer (\d)', html)
    assert stack == [("insert", "2"), ("none", "1"), ("none", "0")]
    assert html.count("<svg") == 2


def test_the_report_begins_with_the_metric_that_selects(tmp_path: Path) -> None:
    fill(tmp_path)
    html = write_report(tmp_path, METRICS).read_text(encoding="utf-8")
    assert re.findall(r"<div><b>([^<]*)</b>([^<]*)</div>", html)[:2] == [
        ("86.2 %", "test Matthews correlation"),
        ("87.1 %", "dev Matthews correlation"),
    ]
    accuracy = write_report(tmp_path, {**METRICS, "metric": "accuracy"}).read_text(encoding="utf-8")
    assert re.findall(r"</b>([^<]*)</div>", accuracy)[:2] == ["test accuracy", "dev accuracy"]


def test_the_report_needs_nothing_from_outside(tmp_path: Path) -> None:
    fill(tmp_path)
    add_curves(tmp_path)
    html = write_report(tmp_path, METRICS).read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|@import|<img|src=|href=\"[^#]", html)


def test_the_report_escapes_names(tmp_path: Path) -> None:
    fill(tmp_path)
    html = write_report(tmp_path, METRICS).read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in html


def test_the_report_does_without_a_search(tmp_path: Path) -> None:
    fill(tmp_path)
    html = write_report(tmp_path, {**METRICS, "gates": None, "scores": None}).read_text(encoding="utf-8")
    assert "<svg" not in html
    assert "new prompt" in html


def test_the_report_is_the_same_each_time(tmp_path: Path) -> None:
    fill(tmp_path)
    add_curves(tmp_path)
    assert write_report(tmp_path, METRICS).read_bytes() == write_report(tmp_path, METRICS).read_bytes()


def card(folder: Path, task: str = "trec", backbone: str = "minilm-l6", **prompt: Any) -> str:
    spec = ModelSpec(
        backbone=BackboneConfig(name=backbone),
        head=HeadConfig(),
        prompt=PromptConfig(**prompt),
        task=get_task(task),
        max_length=96,
    )
    saved = {
        "spec": spec.model_dump(mode="json"),
        "architecture": {"layers": [1, 5], "total": 6},
        "versions": {},
    }
    (folder / "prompt.json").write_text(json.dumps(saved), encoding="utf-8")
    return write_model_card(folder, METRICS).read_text(encoding="utf-8")


def test_the_card_says_what_the_prompt_is(tmp_path: Path) -> None:
    text = card(tmp_path, length=12)
    for said in (
        "1, 5, of 0 to 5",
        "12 vectors",
        "DESC, ENTY",
        "93.4 %",
        "seed 7",
        "96 tokens",
        "Apache-2.0",
    ):
        assert said in text
    front = yaml.safe_load(text.split("---")[1])
    assert front["base_model"] == "minilm-l6"


@pytest.mark.parametrize(("task", "arguments"), [("trec", 1), ("rte", 2)])
def test_the_card_shows_how_to_load_it(tmp_path: Path, task: str, arguments: int) -> None:
    code = re.findall(r"```python\n(.*?)```", card(tmp_path, task), re.DOTALL)[0]
    compile(code, "card", "exec")
    assert code.count("[") == arguments


def test_the_card_warns_where_the_backbone_may_change(tmp_path: Path) -> None:
    assert "not pinned" not in card(tmp_path)
    assert "not pinned" in card(tmp_path, backbone="org/model")


def test_the_card_adds_the_score_that_selects(tmp_path: Path) -> None:
    assert "86.2 %" not in card(tmp_path)
    assert "| Matthews correlation |" in card(tmp_path, "cola")
    assert "86.2 %" in card(tmp_path, "cola")


def test_a_model_card_shows_labels_as_they_are_and_runs_none_of_them() -> None:
    assert page.markdown("<script>a|b\n# c</script>") == r"\<script\>a\|b # c\</script\>"
    assert page.markdown("[x](y) & `z`") == r"\[x\](y) \& \`z\`"
    source = (Path(page.__file__).parent / "templates" / "model_card.md").read_text(encoding="utf-8")
    assert 'spec.task.labels or ()) | map("markdown")' in source
