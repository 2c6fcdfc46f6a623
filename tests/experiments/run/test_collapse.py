"""A search or training that collapsed says so once, in the log, the metrics, the summary and the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.pipeline import run
from experiments.run.collapse import dev_signs, search_signs, training_signs
from experiments.run.results import RunMetrics
from experiments.run.summary import summary
from spt.tasks import get_task
from tests.support.metrics import METRICS
from tests.support.runs import tiny_config

MANUAL: dict[str, Any] = {"strategy": "manual", "manual_layers": [1]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("collapse")


def unbalanced(path: Path) -> Path:
    """Write 56 texts of one class, and 10 that look the same of another."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        words = ["the", "film", "plot", "was", "it", "and", "very"]
        for row in range(66):
            text = " ".join(words[row * step % 7] for step in range(1, 2 + row % 6))
            writer.writerow(
                [f"{text} {words[row // 10]} {words[row % 7]}", "rare" if row % 7 == 0 else "common"]
            )
    return path


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "experiments.run.collapse"]


@pytest.mark.slow
def test_a_loss_that_stands_still_is_told_once_everywhere(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    still = {"learning_rate": 1e-9, "prompt_rate": None, "generator_rate": None}
    metrics = run(tiny_config(home, search=MANUAL, training=still), tmp_path)
    told = [line for line in metrics.warnings if "did not fall" in line]
    assert len(told) == 1
    assert "try a higher training.learning_rate (now 1e-09), more training.epochs" in told[0]
    assert logged(caplog) == list(metrics.warnings)
    assert RunMetrics.read(tmp_path / "metrics.json").warnings == metrics.warnings
    assert told[0] in summary(tmp_path)["warnings"]
    assert "did not fall" in (tmp_path / "report.html").read_text(encoding="utf-8")
    history = [json.loads(line) for line in (tmp_path / "train" / "history.jsonl").read_text().splitlines()]
    assert [set(record) for record in history] == [{"epoch", "dev", "loss", "rate_share"}] * 2
    # that of two classes that are guessed
    assert history[0]["loss"] == pytest.approx(np.log(2), abs=0.1)


@pytest.mark.slow
def test_one_class_for_all_rows_of_dev_is_told(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = {"train": str(unbalanced(tmp_path / "data.csv")), "dev_size": 14, "test_size": 14}
    task = {"label_words": None}
    metrics = run(tiny_config(home, search=MANUAL, data=data, task=task), tmp_path / "run")
    (told,) = [line for line in metrics.warnings if "rows of dev" in line]
    assert told.startswith("all 14 rows of dev were given the label 'common', which 12 of them have; try")
    assert logged(caplog) == list(metrics.warnings)


@pytest.mark.slow
def test_a_training_that_goes_well_tells_nothing(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = run(tiny_config(home, search=MANUAL, training={"epochs": 4, "learning_rate": 0.03}), tmp_path)
    assert metrics.warnings == ()
    assert logged(caplog) == []
    assert "warnings" not in summary(tmp_path)
    assert "<h2>Warnings</h2>" not in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("gates", "end"),
    [
        ({0: 0.995, 1: 0.999}, "1 "),
        # a dropped candidate's is 0
        ({0: 0.995, 1: 0.999, 2: 0.0}, "1 "),
        ({0: 0.001, 1: 0.009}, "0 "),
        ({0: 0.001, 1: 0.999}, None),
        ({0: 0.98, 1: 0.999}, None),
        ({0: 0.999, 1: 0.0}, None),
        (None, None),
    ],
)
def test_gates_that_all_end_at_one_end_are_told(
    gates: dict[int, float] | None, end: str | None, home: Path, tmp_path: Path
) -> None:
    signs = search_signs(gates, tmp_path, tiny_config(home))
    assert len(signs) == (end is not None)
    if end is not None:
        assert f"gates of the search ended at {end}" in signs[0]
        assert "search.gate_learning_rate (now 0.05)" in signs[0]


@pytest.mark.parametrize(
    ("steps", "epochs", "budget", "said"),
    [
        ([(0, 0), (0, 10)], 1, 1e12, "before its gates moved"),
        ([(0, 0), (0, 15), (1, 0)], 2, 1e12, "in the first steps in which its gates moved"),
        ([(0, 0), (0, 15), (1, 0), (1, 10)], 2, 1e12, None),
        # one step an epoch, and all of the epochs
        ([(0, 0), (1, 0)], 3, 1e12, None),
        ([(0, 0)], 1, None, None),
        ([], 0, 1e12, None),
    ],
)
def test_a_budget_that_ends_a_search_before_its_gates_move_is_told(
    steps: list[tuple[int, int]],
    epochs: int,
    budget: float | None,
    said: str | None,
    home: Path,
    tmp_path: Path,
) -> None:
    gates = [{"epoch": epoch, "step": step, "gates": {"0": 0.5, "1": 0.5}} for epoch, step in steps]
    history = [{"epoch": epoch, "dev": 0.5, "loss": 1 / (1 + epoch)} for epoch in range(epochs)]
    for name, lines in (("gates", gates), ("history", history)):
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    search = {"strategy": "spt_darts", "epochs": 3, "warmup_epochs": 1, "budget_flops": budget}
    config = tiny_config(home, search=search)
    signs = search_signs({0: 0.5, 1: 0.5}, tmp_path, config)
    assert len(signs) == (said is not None)
    if said is not None:
        assert signs[0].startswith(f"search.budget_flops (1e+12) ended the search {said}, so that")


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([0.7, 0.699], "try a higher training.learning_rate"),
        ([0.7, 0.9, 1.2], "try a lower training.learning_rate"),
        ([0.7, 0.9, 0.6], None),
        ([0.7, 0.6], None),
        ([0.7], None),
        ([None, None], None),
    ],
)
def test_a_loss_is_judged_over_epochs(
    losses: list[float | None], said: str | None, home: Path, tmp_path: Path
) -> None:
    lines = [
        {"epoch": epoch, "dev": 0.5} | ({"loss": loss} if loss else {}) for epoch, loss in enumerate(losses)
    ]
    (tmp_path / "history.jsonl").write_text(
        "".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8"
    )
    signs = training_signs(tmp_path, tiny_config(home))
    assert [said in sign for sign in signs if said] == ([True] if said else [])
    assert len(signs) == (said is not None)


def test_one_class_is_right_where_dev_has_one(home: Path) -> None:
    config, task = tiny_config(home), get_task("custom", labels=["good", "bad"])
    zeros = np.zeros(4, dtype=int)
    assert dev_signs(zeros, zeros, task, config) == []
    assert dev_signs(np.array([0, 1, 0, 1]), np.array([0, 0, 0, 1]), task, config) == []
    (sign,) = dev_signs(np.array([0, 1, 0, 1]), zeros + 1, task, config)
    assert "given the label 'bad', which 2 of them have" in sign


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([0, 0], "given no label, which 1 of them have"),
        ([0, 1], "given the label 'bad', which 0 of them have"),
        ([1, 1], "given the labels 'good' and 'bad', which 2 of them have"),
    ],
)
def test_one_set_of_labels_for_all_rows_is_told(answer: list[int], said: str, home: Path) -> None:
    task = get_task("custom", labels=["good", "bad"], multi_label=True)
    labels = np.array([[0, 0], [1, 1], [1, 1]])
    assert dev_signs(labels, labels, task, tiny_config(home)) == []
    (sign,) = dev_signs(labels, np.array([answer] * 3), task, tiny_config(home))
    assert said in sign


def test_older_metrics_have_no_warnings(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    content = METRICS.as_json()
    del content["warnings"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert RunMetrics.read(path) == METRICS
