import json
import re
from pathlib import Path
from typing import Any

import yaml

from spt.architecture import PromptLayers
from spt.reports.run_page import write_report

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
