"""`spt neighbours` and the vote of `spt predict --ensemble`, on prompts that were never trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.pipeline import run
from spt.serving.ensemble import PromptEnsemble
from tests.support.classifiers import TEXTS, classifier
from tests.support.runs import tiny_config

FREE = {"generator": "free", "length": 3, "init": "labels"}


def spt(*arguments: object, given: str | None = None) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(part) for part in arguments], input=given)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("commands")
    made = {
        "free": classifier(home, (0,), prompt=FREE),
        "generated": classifier(home, (1, 2), seed=1),
        "other": classifier(home, (2,), seed=2),
        "foreign": classifier(home, (2,), task={"name": "custom", "labels": ["good", "bad"]}),
    }
    for name, one in made.items():
        one.save_pretrained(home / name)
    return {name: home / name for name in made}


def test_a_free_prompt_is_shown_by_its_words_beside_the_control(folders: dict[str, Path]) -> None:
    result = spt("neighbours", folders["free"], "--count", 2)
    assert result.exit_code == 0, result.output
    assert "random vector" in result.stdout
    assert "terrible 1.00, " in result.stdout and "great 1.00, " in result.stdout


def test_a_generated_prompt_needs_a_text(folders: dict[str, Path]) -> None:
    refused = spt("neighbours", folders["generated"])
    assert refused.exit_code == 2 and "Give one by --text" in refused.stderr
    shown = spt("neighbours", folders["generated"], "--text", "the film was dull")
    assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--text", ""), "Error: --text is empty. Give it a text"),
        (("--text", "dull", "--pair", " "), "Error: --pair is empty. Give it a text"),
        (("--pair", "dull"), "Error: --pair is given, but no --text"),
    ],
    ids=str,
)
def test_a_text_that_is_none_is_refused_by_its_option(
    options: tuple[str, ...], said: str, folders: dict[str, Path]
) -> None:
    for name in ("free", "generated"):
        refused = spt("neighbours", folders[name], *options)
        assert refused.exit_code == 2 and refused.stderr.startswith(said)


def test_an_ensemble_gives_the_votes(folders: dict[str, Path]) -> None:
    three = [folders[name] for name in ("free", "generated", "other")]
    result = spt("predict", three[0], "--ensemble", three[1], "--ensemble", three[2], given="\n".join(TEXTS))
    assert result.exit_code == 0, result.output
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    expected = PromptEnsemble.from_pretrained(three).predict(TEXTS)
    assert [answer["label"] for answer in answers] == [vote.label for vote in expected]
    assert {round(3 * answer["probability"]) for answer in answers} <= {2, 3}


def test_a_prompt_of_another_task_cannot_vote(folders: dict[str, Path]) -> None:
    result = spt("predict", folders["free"], "--ensemble", folders["foreign"], given="great")
    assert result.exit_code == 2
    assert "Only prompts of one task can vote" in result.stderr


def test_the_report_reads_a_free_prompt_at_the_input_and_no_other(tmp_path: Path) -> None:
    def report(name: str, layers: list[int]) -> str:
        search = {"strategy": "manual", "manual_layers": layers}
        config = tiny_config(tmp_path, search=search, prompt=FREE, training={"epochs": 1})
        run(config, tmp_path / name)
        return (tmp_path / name / "report.html").read_text(encoding="utf-8")

    assert "Nearest words" in report("input", [0])
    assert "Nearest words" not in report("late", [2])
