"""A file that is for another command is told by its keys, by whatever command is given it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from experiments.cli import app
from experiments.config import RunConfig
from experiments.config_kinds import RUN_KEYS, STUDY_KEYS, config_kind
from experiments.tuning.config import TuneConfig

ROOT = Path(__file__).parents[3]
RUN, STUDY, COMPARISON, BENCH = (
    f"experiments/{name}.yml" for name in ("configs/demo", "tune", "compare", "methods")
)
READERS = {
    "a run": ("run", "search", "train", "evaluate", "config"),
    "a study": ("tune",),
    "a comparison or a run": ("compare",),
}
COMMANDS = {
    RUN: ("a run", "spt run"),
    STUDY: ("a study", "spt tune"),
    COMPARISON: ("a comparison", "spt compare"),
    BENCH: ("a bench", "python -m benchmarks methods"),
}


@pytest.mark.parametrize(
    ("command", "wanted", "file"),
    [
        (command, wanted, file)
        for wanted, commands in READERS.items()
        for command in commands
        for file, (kind, _) in COMMANDS.items()
        if kind not in wanted
    ],
)
def test_a_file_for_another_command_is_told_in_one_sentence(
    command: str, wanted: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, right = COMMANDS[file]
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(app, [command, file])
    assert result.exit_code == 2
    assert result.output == (
        f"Error: '{file}' is the config of {kind}, but must be that of {wanted}. Use `{right} {file}`, or "
        "give another file.\n"
    )


@pytest.mark.parametrize(
    ("tree", "kind"),
    [
        ({}, None),
        ({"name": "x", "seed": 1}, None),
        ({"task": "trec"}, "run"),
        ({"run": {}, "versions": {}, "machine": {}}, "run"),
        ({"run": {}, "searchSpace": {}}, "study"),
        ({"search_space": {}}, "study"),
        ({"trialCommand": "x", "searchSpace": {}}, "comparison"),
        # a misspelt trialCommand is a problem of the comparison
        ({"trialComand": "x", "experimentName": "x", "searchSpace": {}}, "comparison"),
        ({"methods": {}, "conditions": {}, "training": {}}, "bench"),
        # a key in a wrong place is a problem of its file
        ({"task": "trec", "searchSpace": {}}, None),
        ({"task": "trec", "trials": 3}, None),
    ],
    ids=str,
)
def test_a_kind_is_told_where_keys_are_of_one_alone(tree: dict[str, Any], kind: str | None) -> None:
    assert config_kind(tree) == kind


def test_keys_that_tell_a_kind_are_of_no_other() -> None:
    studys = {field.alias or name for name, field in TuneConfig.model_fields.items()} | {"search_space"}
    assert RunConfig.model_fields.keys() - studys >= RUN_KEYS
    assert studys - RunConfig.model_fields.keys() >= STUDY_KEYS


@pytest.mark.parametrize("path", sorted((ROOT / "experiments" / "configs").glob("*.yml")), ids=str)
def test_no_shipped_config_of_a_run_is_told_for_another(path: Path) -> None:
    assert config_kind(yaml.safe_load(path.read_text(encoding="utf-8"))) in ("run", None)
