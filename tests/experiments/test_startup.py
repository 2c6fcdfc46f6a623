"""What a command loads: nothing before it is known to be needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.classifiers import classifier
from tests.support.loaded import loaded_by, loaded_by_command
from tests.support.tickets import make_tickets
from tests.support.tiny import make_backbone

CONFIG = Path(__file__).parents[2] / "experiments" / "configs" / "trec.yml"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("module", ["experiments.cli", "experiments.config", "benchmarks.cli"])
def test_a_module_that_every_command_reads_loads_no_framework(module: str) -> None:
    assert loaded_by(f"import {module}") == set()


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["run", "--help"], 0),
        (["config"], 0),
        (["config", CONFIG, "training.epochs=3"], 0),
        (["run", CONFIG, "trainin.epochs=3"], 2),
        (["search", CONFIG, "search.k=0"], 2),
        (["run", "none.yml"], 2),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_what_needs_no_framework_loads_none(arguments: list[object], exit_code: int) -> None:
    assert loaded_by_command(*arguments, exit_code=exit_code) == set()


def test_looking_at_data_loads_no_torch_and_at_a_backbone_no_nni(tmp_path: Path) -> None:
    file, config = make_tickets(tmp_path / "tickets.csv"), tmp_path / "config.yml"
    assert loaded_by_command("init", file, "--output", config) == set()
    elsewhere = "backbone.name=someone/elsewhere"
    assert loaded_by_command("check", config, elsewhere) == {"datasets"}
    tiny = f"backbone.name={make_backbone(tmp_path / 'backbone')}"
    assert loaded_by_command("check", config, tiny, "data.max_length=32") == {
        "datasets",
        "torch",
        "transformers",
    }


def test_a_file_that_is_not_there_is_refused_before_a_model_is_read(tmp_path: Path) -> None:
    assert loaded_by_command("predict", tmp_path, tmp_path / "none.csv", exit_code=2) == set()


def test_prediction_loads_torch_and_transformers_alone(tmp_path: Path) -> None:
    classifier(tmp_path, (1, 2)).save_pretrained(tmp_path / "model")
    texts = tmp_path / "texts.txt"
    texts.write_text("it was fine\n", encoding="utf-8")
    assert loaded_by_command("predict", tmp_path / "model", texts) == {"torch", "transformers"}
