"""One run, whole or stage by stage: run, search, train, evaluate."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich import print as show

from experiments.commands.options import AsJson, Config, Device, Folder, Overrides, Quiet
from experiments.console import GOES_ON, exit_codes, tell_watchers
from experiments.logs import quiet_libraries


def run(
    config: Config,
    overrides: Overrides = None,
    folder: Folder = None,
    device: Device = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Search layers, train their prompts, score dev and test, and write the report.

    What the folder already holds is not repeated: the same command goes on where it was stopped.
    """
    _stage("run", config, overrides, folder, device, quiet, as_json)


def search(
    config: Config,
    overrides: Overrides = None,
    folder: Folder = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Search the layers only: writes architecture.json and search/."""
    _stage("search", config, overrides, folder, device, quiet)


def train(
    config: Config,
    overrides: Overrides = None,
    folder: Folder = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Train prompts at the layers of the search, after searching if need be: writes model/."""
    _stage("train", config, overrides, folder, device, quiet)


def evaluate(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG|MODEL", help="YAML file; with --on, folder of a model or a run.")
    ],
    overrides: Overrides = None,
    on: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Labelled file to score a trained model on instead.", show_default=False
        ),
    ] = None,
    folder: Folder = None,
    device: Device = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score the model of a config on dev and test, after training it if need be: writes metrics.json.

    With --on score a trained model on another file: the task's metric and accuracy with their intervals,
    macro and weighted F1, and each class; nothing is written. Keys may then be task.text, task.text_pair,
    task.label, task.label_delimiter, task.label_columns, and data.format, data.encoding, data.columns,
    data.delimiter, data.quoting and data.incomplete, which leaves rows without text or label out where it is
    drop: it is as in the run that MODEL is of, and refuse without one.
    """
    if on is None:
        _refuse_folder(config)
        _stage("run", config, overrides, folder, device, quiet, as_json)
    else:
        _score_file(config, on, overrides, folder, device, quiet, as_json)


def _refuse_folder(config: Path) -> None:
    """Ask for the file to score a model on, where its folder is given in place of a config."""
    with exit_codes("Stopped."):
        from spt.errors import InputError

        if config.is_dir():
            raise InputError(
                f"'{config}' is a folder, but without --on the config of a run is scored. Add --on FILE, a "
                "labelled file to score the model in the folder on, or give a config."
            )


def _score_file(
    model: Path,
    file: Path,
    overrides: list[str] | None,
    folder: Path | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Score a saved prompt on a labelled file, and show how it did."""
    quiet_libraries(quiet)
    with exit_codes("Stopped."):
        from experiments.keys import parse_overrides
        from spt.errors import InputError

        if folder is not None:
            raise InputError(f"--folder is '{folder}', but with --on nothing is written. Leave one out.")
        changes = parse_overrides(overrides or [])
        if not quiet:
            tell_watchers(f"reading {model} and its backbone")
        from experiments.evaluate import evaluate_on
        from spt.process.devices import use_device
        from spt.process.modes import AUTO

        use_device(device or AUTO)
        result = evaluate_on(model, file, changes)
        if as_json:
            print(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
        elif not quiet:
            for part in result.tables():
                show(part)


def _stage(
    stage: Literal["run", "search", "train"],
    path: Path,
    overrides: list[str] | None,
    folder: Path | None,
    device: str | None,
    quiet: bool,
    as_json: bool = False,
) -> None:
    """Run a stage and those before it in the run's folder, and show what the folder holds."""
    quiet_libraries(quiet)
    with exit_codes(GOES_ON):
        from experiments.config import load_config
        from experiments.keys import parse_overrides

        changes = parse_overrides(overrides or []) | ({"device": device} if device else {})
        config = load_config(path, changes)
        folder = folder or Path("runs") / config.name
        if not quiet:
            # what is wrong with a config is said, and this too, before what takes seconds to load
            _say(f"{folder}: {config.search.strategy} on {config.task.name} over {config.backbone.name}")
        from experiments.live.run_view import run_shown

        with run_shown(folder, wanted=not quiet and not as_json):
            from experiments import pipeline

            getattr(pipeline, stage)(config, folder)
        from experiments.run.folder import RunFolder
        from experiments.run.summary import table

        if as_json:
            print(RunFolder(folder).metrics.read_text(encoding="utf-8"), end="")
        elif not quiet:
            show(table(folder))
            if stage == "run":
                predict = shlex.join(["spt", "predict", str(folder / "model"), "FILE"])
                _say(f"Next: `{predict}`, or look at {folder / 'report.html'}")


def _say(line: str) -> None:
    """Tell people, and not the program that reads what the command gives."""
    print(line, file=sys.stderr, flush=True)
