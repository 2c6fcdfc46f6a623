"""The `spt` command. Each command imports what it needs when it runs, so that --help is quick."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich import print as show

import spt
from experiments.console import GOES_ON, Overrides, Workers, exit_codes
from experiments.logs import quiet_libraries

app = typer.Typer(
    help="Find the layers of a frozen transformer that should get a soft prompt, and train those prompts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="YAML file; `spt config` prints one with every key.")
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
        print(f"spt {spt.__version__}")
        raise typer.Exit


@app.command()
def run(config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False) -> None:
    """Search layers, train their prompts, score dev and test, and write the report.

    What the folder already holds is not repeated: the same command goes on where it was stopped.
    """
    _stage("run", config, overrides, folder, quiet)


@app.command()
def search(config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False) -> None:
    """Search the layers only: writes architecture.json and search/."""
    _stage("search", config, overrides, folder, quiet)


@app.command()
def train(config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False) -> None:
    """Train prompts at the layers of the search, after searching if need be: writes model/."""
    _stage("train", config, overrides, folder, quiet)


@app.command()
def evaluate(
    config: Config, overrides: Overrides = None, folder: Folder = None, quiet: Quiet = False
) -> None:
    """Score the trained model on dev and test, after training it if need be: writes metrics.json."""
    _stage("run", config, overrides, folder, quiet)


@app.command()
def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL_FOLDER", help="Folder of a saved prompt, as runs/NAME/model.")
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV, TSV, JSON lines, parquet or text, by its ending; - reads text from standard input.",
        ),
    ] = Path("-"),
    ensemble: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MODEL_FOLDER",
            help="Another prompt of the same task that votes; may be repeated.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Label the texts of a file: writes {"label", "probability"} as JSON, one line for each record.

    CSV, TSV, JSON and parquet files are read by the task's columns, or by "text" (pairs: and "text_pair").

    Other files have a text a line, or two texts with a tab between them where the task has pairs; if the
    first line is a JSON object, all are, with the same columns.

    The input is UTF-8, and read and answered in parts, so it may be of any length.

    With --ensemble the label with the most votes is given, and its share of the votes.
    """
    quiet_libraries(quiet=False)
    with exit_codes("Stopped."):
        from experiments.predict import predict_file

        for predictions in predict_file([model, *(ensemble or [])], file):
            for answer in predictions:
                print(json.dumps({"label": answer.label, "probability": answer.probability}))
            sys.stdout.flush()


@app.command()
def compare(
    experiment: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT", help="nnictl file with choices: experiments/compare.yml.")
    ],
    overrides: Overrides = None,
    folder: Folder = None,
    workers: Workers = 0,
    truth: Annotated[
        Path | None,
        typer.Option(help="Table of `python -m benchmarks table` that judges layers.", show_default=False),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Group to test the others against.", show_default="the first")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run every combination of an experiment's choices, and compare them over seeds and tasks.

    A key with choices takes others by KEY=VALUE or KEY=[VALUE, ...].

    What the folder already holds is not repeated, be it by this command or by nnictl.
    """
    quiet_libraries(quiet)
    with exit_codes(GOES_ON):
        from experiments.comparing.compare import compare_experiment
        from experiments.keys import parse_overrides

        failed = compare_experiment(
            experiment, parse_overrides(overrides or []), folder, workers, truth, reference, quiet
        )
    if failed:
        raise typer.Exit(1)


@app.command()
def transfer(
    source: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder or architecture.json with the layers.")
    ],
    config: Config,
    overrides: Overrides = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each.")] = 5,
    folder: Annotated[Path, typer.Option(help="Where the runs are kept.")] = Path("runs/transfer"),
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Train layers found elsewhere on CONFIG's task and backbone, beside a search there, over seeds.

    A backbone of another depth gets them at the same relative depths.
    """
    quiet_libraries(quiet)
    with exit_codes(GOES_ON):
        from experiments.comparing.compare import compare_and_show
        from experiments.comparing.transfer import transfer_cells
        from experiments.keys import parse_overrides

        cells = transfer_cells(source, config, parse_overrides(overrides or []), seeds)
        failed = compare_and_show(
            cells,
            folder,
            f"Layers of {source.name}",
            f"spt transfer {source} {config}",
            quiet,
            workers=workers,
        )
    if failed:
        raise typer.Exit(1)


@app.command()
def neighbours(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL_FOLDER", help="Folder of a saved prompt, as runs/NAME/model.")
    ],
    text: Annotated[
        str | None, typer.Option(help="Read the prompts for this text; needed where they are generated.")
    ] = None,
    pair: Annotated[str | None, typer.Option(help="Its second text, where the task has pairs.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Words a vector.")] = 5,
) -> None:
    """Read a prompt by the words nearest to its vectors, beside those of random vectors."""
    quiet_libraries(quiet=False)
    with exit_codes("Stopped."):
        from experiments.neighbours import neighbour_table
        from spt.serving.classifier import PromptClassifier
        from spt.serving.neighbours import read_prompts

        classifier = PromptClassifier.from_pretrained(model)
        show(neighbour_table(read_prompts(classifier, text, pair, count)))


@app.command()
def audit(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of a saved prompt or of a backbone.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Write JSON, with every tensor's name, type and shape.")
    ] = False,
) -> None:
    """Say what a folder that others made holds, and what is wrong with it, without loading it.

    Looks for pickles, code, links that lead outside, damaged files, wrong digests, and sizes that cannot be.

    Ends with 2 if anything is wrong.
    """
    with exit_codes("Stopped."):
        from experiments.audit import audit_json, audit_lines
        from spt.audit.report import audit as audit_folder

        result = audit_folder(folder)
        print(audit_json(folder, result) if as_json else "\n".join(audit_lines(folder, result)))
    if result.problems:
        raise typer.Exit(2)


@app.command()
def tune(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="YAML file of a study: experiments/tune.yml.")
    ],
    overrides: Overrides = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the study is kept; runs/NAME by default.", show_default=False)
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="host:port of a Ray cluster, or auto on one of its machines; RAY_ADDRESS, or this machine "
            "alone, by default.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study in the folder.")] = False,
    quiet: Quiet = False,
) -> None:
    """Tune hyper-parameters: Ray Tune runs the trials, Optuna chooses their values.

    Writes best.yml, which `spt run` takes, best/ with its run, optuna.journal and report.html.
    """
    quiet_libraries(quiet)
    with exit_codes("Stopped. The same command with --resume goes on."):
        from experiments.keys import parse_overrides
        from experiments.tuning.config import load_tune_config
        from experiments.tuning.session import summary
        from experiments.tuning.session import tune as run_study
        from experiments.tuning.table import LiveTable

        study = load_tune_config(config, parse_overrides(overrides or []))
        folder = folder or Path("runs") / study.name
        watch = None if quiet else LiveTable(study)
        result = run_study(study, folder, address=address, resume=resume, watch=watch)
        if not quiet:
            print(summary(study, folder, result))


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
    with exit_codes("Stopped."):
        import yaml

        from experiments.config import RunConfig, load_config
        from experiments.keys import parse_overrides, schema_lines

        if config is None:
            print("\n".join(schema_lines(RunConfig)))
            return
        resolved = load_config(config, parse_overrides(overrides or []))
        print(yaml.safe_dump(resolved.model_dump(mode="json"), sort_keys=False, allow_unicode=True), end="")


def main() -> None:
    """Run the `spt` command."""
    app()


def _stage(
    stage: Literal["run", "search", "train"],
    path: Path,
    overrides: list[str] | None,
    folder: Path | None,
    quiet: bool,
) -> None:
    """Run a stage and those before it in the run's folder, and show what the folder holds."""
    quiet_libraries(quiet)
    with exit_codes(GOES_ON):
        from experiments.config import load_config
        from experiments.keys import parse_overrides

        config = load_config(path, parse_overrides(overrides or []))
        # what is wrong with a config is said before what trains is loaded
        from experiments import pipeline
        from experiments.run.summary import table

        folder = folder or Path("runs") / config.name
        getattr(pipeline, stage)(config, folder)
        if not quiet:
            show(table(folder))
