"""Nothing but a few places catches every exception, and the exit codes hold for every command."""

from __future__ import annotations

import ast
import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.cli import app as benchmarks_app
from benchmarks.imports import ROOMS
from experiments.cli import app as spt_app
from experiments.console import exit_codes
from spt.data.config import DataConfig
from spt.data.reading.files import read_file
from spt.data.reading.raw_table import UNREADABLE
from spt.errors import machine_fault
from spt.tasks import Task

ROOT = Path(__file__).parents[1]
EVERYTHING = {"Exception", "BaseException"}
ALLOWED = {
    # hands the error to the thread that waits for it
    ("strategies/ray_engine.py", "_collect"),
    # hands the error to the requests that wait for it
    ("experiments/serving/batcher.py", "_answer_all"),
    # keeps looking at the other folders, and says in the log and in /v1/tasks what it was
    ("experiments/serving/reload.py", "_reload"),
    # ends NNI's tuner process, which would else hang
    ("experiments/nni_trials/tuner.py", "guarded"),
    # what hinders a start is what they look for
    ("experiments/doctor/starting.py", "_timed"),
    ("experiments/doctor/machine.py", "look_at_devices"),
    # what a case raises is what is looked for
    ("benchmarks/fuzz/isolated.py", "_raises"),
    # what a tracker's library raises, but a fault of the machine, costs its log and not the run
    ("experiments/tracking/run_log.py", "_opened"),
    ("experiments/tracking/run_log.py", "_did"),
    # whatever a library raises about the files of others, but a fault of the machine, is the files' own
    ("spt/errors.py", "foreign_files"),
}


def catches_everything(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in EVERYTHING for node in ast.walk(handler.type))


def raises_at_its_end(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def handlers(node: ast.AST, function: str = "") -> Iterator[tuple[str, ast.ExceptHandler]]:
    """Each handler below a node, with the innermost function that it is in."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.ExceptHandler):
            yield function, inner
        name = inner.name if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield from handlers(inner, name)


def places() -> set[tuple[str, str]]:
    """(file, function) of each handler that keeps every exception."""
    return {
        (str(path.relative_to(ROOT)), function)
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for function, handler in handlers(ast.parse(path.read_text(encoding="utf-8")))
        if catches_everything(handler) and not raises_at_its_end(handler)
    }


def test_nothing_else_keeps_every_exception() -> None:
    assert places() == ALLOWED


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def wrapped(error: Exception) -> Exception:
    """An error as libraries wrap it."""
    try:
        try:
            raise error
        except Exception:
            raise ValueError("An error occurred while generating the dataset")  # noqa: B904
    except ValueError as outer:
        return outer


@pytest.mark.parametrize("fault", [full(), MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_a_fault_of_the_machine_is_found_among_the_causes(fault: Exception) -> None:
    assert machine_fault(fault) is fault and machine_fault(wrapped(fault)) is fault
    assert machine_fault(wrapped(KeyError("text"))) is None
    assert machine_fault(FileNotFoundError(errno.ENOENT, "No such file")) is None


@pytest.mark.parametrize("fault", [full(), MemoryError()])
def test_reading_rows_on_a_full_disk_or_without_memory_is_no_bad_input(
    fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any, **__: Any) -> None:
        raise wrapped(fault)

    path = tmp_path / "a.csv"
    path.write_text("text,label\na,b\n", encoding="utf-8")
    monkeypatch.setattr("spt.data.reading.files._read_csv", read)
    with pytest.raises(type(fault)):
        read_file(path, DataConfig(), Task(name="custom"))
    assert not any(issubclass(AttributeError, kind) for kind in UNREADABLE)


COMMANDS = [
    (app, name, command)
    for app in (spt_app, benchmarks_app)
    for name, command in typer.main.get_group(app).commands.items()
]
NAMES = [f"{'spt' if app is spt_app else 'benchmarks'} {name}" for app, name, _ in COMMANDS]


@pytest.mark.parametrize(("app", "name", "command"), COMMANDS, ids=NAMES)
def test_every_command_ends_with_two_for_bad_input(
    app: typer.Typer, name: str, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    files = ["none.yml" for argument in arguments if argument.required]
    # every command has options; those that read a file are given one that is not there
    words = files or ["--no-such-option"]
    result = CliRunner().invoke(app, [name, *words])
    assert result.exit_code == 2, result.output
    assert words[0].removesuffix(".yml") in result.output and "Traceback" not in result.output


@pytest.mark.parametrize(
    "made_of_it", [OSError("a lock that was let go of"), KeyboardInterrupt(), SystemExit(15)]
)
def test_sigterm_is_a_stop_whatever_a_library_makes_of_it(
    made_of_it: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as ended, exit_codes("Stopped."):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise made_of_it from None
    assert ended.value.exit_code == 143
    assert capsys.readouterr().err == "Stopped.\n"
    assert signal.getsignal(signal.SIGTERM) == before
