"""`python -m benchmarks`: quick to answer, from any folder, and plain about what is not installed."""

import os
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import CHECKOUT
from benchmarks.cli import app
from benchmarks.record import command_of
from spt.process import extras

HEAVY = ("torch", "nni", "transformers", "peft", "matplotlib")


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = f"import sys, benchmarks.cli; print([name for name in {HEAVY} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_every_default_file_is_found_from_any_folder() -> None:
    defaults = [
        parameter.default
        for command in app.registered_commands
        if command.callback is not None
        for parameter in signature(command.callback).parameters.values()
        if str(parameter.default).endswith(".yml")
    ]
    assert len(defaults) == 6
    for path in defaults:
        assert Path(path).is_absolute() and Path(path).is_file()


@pytest.mark.parametrize("command", [["speed"], ["search-cost"], ["methods", "experiments/methods.yml"]])
def test_without_peft_a_command_says_which_extra_to_install(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert 'pip install "spt-nas[bench]"' in result.output and "Traceback" not in result.output


def test_a_command_names_the_checkout_s_files_from_its_root() -> None:
    shipped, other = CHECKOUT / "experiments" / "methods.yml", Path("my runs") / "run.yml"
    assert command_of("methods", shipped) == "python -m benchmarks methods experiments/methods.yml"
    assert command_of("neighbours", other) == "python -m benchmarks neighbours 'my runs/run.yml'"


def test_a_command_names_its_result_where_that_is_not_the_benchs_own() -> None:
    own = "python -m benchmarks prompt-tuning"
    assert command_of("prompt-tuning", result="prompt_tuning") == command_of("prompt-tuning") == own
    assert command_of("prompt-tuning", "--on=sst2", result="mine") == f"{own} --on=sst2 --result mine"
