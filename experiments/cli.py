"""The `spt` command. What is heavy is imported inside the commands, so that --help is quick."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import print as show

if TYPE_CHECKING:
    from experiments.pipeline import Run
    from experiments.texts import Row

CHUNK = 1024

app = typer.Typer(
    help="Find the layers of a frozen transformer that should get a soft prompt, and train those prompts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="YAML file; `spt config` prints one with every key.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Dotted keys over those of the file, as search.layers=3.",
        show_default=False,
    ),
]
Folder = Annotated[
    Path | None, typer.Option(help="Where the run is kept; runs/NAME by default.", show_default=False)
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table: errors only.")]


@app.callback(invoke_without_command=True)
def _root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show_version:
        print(f"spt {version('spt-nas')}")
        raise typer.Exit


@app.command()
def run(config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False) -> None:
    """Search layers, train their prompts, score dev and test, and write the report.

    What the folder already holds is not repeated: the same command goes on where it was stopped.
    """
    _stage(lambda run: run.evaluate(), config, overrides, folder, quiet)


@app.command()
def search(config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False) -> None:
    """Search the layers only: writes architecture.json and search/."""
    _stage(lambda run: run.search(), config, overrides, folder, quiet)


@app.command()
def train(config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False) -> None:
    """Train prompts at the layers found, after searching them if need be: writes model/."""
    _stage(lambda run: run.train(), config, overrides, folder, quiet)


@app.command()
def evaluate(
    config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False
) -> None:
    """Score the trained model on dev and test, after training it if need be: writes metrics.json."""
    _stage(lambda run: run.evaluate(), config, overrides, folder, quiet)


@app.command()
def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL_FOLDER", help="Folder of a saved prompt, as runs/NAME/model.")
    ],
    file: Annotated[
        typer.FileBinaryRead, typer.Argument(metavar="FILE", help="UTF-8 file; - reads standard input.")
    ] = "-",  # type: ignore[assignment]
) -> None:
    """Label one text a line: writes {"label", "probability"} as JSON, one line for each line read.

    A line is a text, or two texts with a tab between them where the task has pairs.

    If the first line is a JSON object with "text", all are; pairs have "text_pair" too.

    The input is read and answered in parts, so it may be of any length.
    """
    _settle(quiet=False)
    with _exit_codes("Stopped."):
        from torch.cuda import is_available

        from experiments.texts import read_rows
        from spt.classifier import PromptClassifier

        classifier = PromptClassifier.from_pretrained(model)
        classifier.model.to("cuda" if is_available() else "cpu")
        pairs = classifier.spec.task.text_pair is not None
        for rows in _chunks(read_rows(file, pairs)):
            texts, *seconds = (list(column) for column in zip(*rows, strict=True))
            for answer in classifier.predict(texts, *seconds):
                print(json.dumps({"label": answer.label, "probability": answer.probability}))
            sys.stdout.flush()


@app.command("config")
def show_config(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="YAML file to resolve.", show_default=False)
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Print every key with its default and what it does; with a file, the configuration it resolves to.

    Both are YAML that `spt run` accepts.
    """
    with _exit_codes("Stopped."):
        import yaml

        from experiments.config import load_config, parse_overrides, schema_lines

        if config is None:
            print("\n".join(schema_lines()))
            return
        resolved = load_config(config, parse_overrides(overrides or []))
        print(yaml.safe_dump(resolved.model_dump(mode="json"), sort_keys=False, allow_unicode=True), end="")


def main() -> None:
    """The console script."""
    app()


def _stage(
    stage: "Callable[[Run], Any]", path: Path, overrides: list[str] | None, folder: Path | None, quiet: bool
) -> None:
    """One stage of a run, and what precedes it, inside its folder."""
    _settle(quiet)
    with _exit_codes("Stopped. The same command goes on from the last finished epoch."):
        from experiments.config import load_config, parse_overrides
        from experiments.pipeline import Run
        from experiments.summary import table

        config = load_config(path, parse_overrides(overrides or []))
        folder = folder or Path("runs") / config.name
        with Run(config, folder).claimed() as claimed:
            stage(claimed)
        if not quiet:
            show(table(folder))


def _settle(quiet: bool) -> None:
    from experiments.logs import settle

    settle(quiet)


@contextmanager
def _exit_codes(stopped: str) -> Iterator[None]:
    """2 for bad input, 1 for a failed training, 130 for Ctrl-C, each with one message and no traceback."""
    from spt.errors import InputError, TrialFailed

    try:
        yield
    except InputError as error:
        raise _exit(f"Error: {error}", 2) from error
    except TrialFailed as error:
        raise _exit(f"The training failed: {error}", 1) from error
    except (KeyboardInterrupt, SystemExit) as error:
        # Lightning turns Ctrl-C into an exit with code 1
        if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
            raise _exit(stopped, 130) from error
        raise


def _exit(message: str, code: int) -> typer.Exit:
    print(message, file=sys.stderr)
    return typer.Exit(code)


def _chunks(rows: "Iterable[Row]") -> "Iterator[list[Row]]":
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
