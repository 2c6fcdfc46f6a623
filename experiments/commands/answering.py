"""What a saved prompt answers: predict, neighbours."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich import print as show

from experiments.commands.options import Device, Model
from experiments.console import exit_codes, tell_watchers
from experiments.logs import quiet_libraries


def predict(
    model: Model,
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
    device: Device = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Write the records with the columns of their answers to a .csv, .tsv, .jsonl or .parquet "
            "file, instead of printing the answers.",
            show_default=False,
        ),
    ] = None,
    every_class: Annotated[bool, typer.Option("--all", help="Add the probability of each class.")] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Give no label to texts whose probability is below this.",
            show_default="what the prompt was saved with",
        ),
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="Before the names of the added columns, as predicted_.", show_default=False)
    ] = "",
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Do not say how many records were answered a second.")
    ] = False,
) -> None:
    """Label the texts of a file: prints {"label", "probability"} as JSON, one line for each record.

    A text that may have several labels gets {"labels"}, a list.

    CSV, TSV, JSON and parquet files are read by the task's columns, or by "text" (pairs: and "text_pair").
    A CSV file may have ; a tab or | in place of commas.

    Other files have a text a line, or two texts with a tab between them where the task has pairs; if the
    first line that is not blank is a JSON object, all are, with the same columns.

    The input is UTF-8, and read and answered in parts, so it may be of any length.

    A record without a text gets the label null, and how many there are is told at the end.

    With --output the columns of the file are kept, and label and probability follow them; with --all also
    probability_CLASS for each class. OUT is there whole or not at all.

    With --ensemble the label with the most votes is given, and its share of the votes.
    """
    quiet_libraries(quiet)
    with exit_codes("Stopped."):
        if not quiet:
            tell_watchers(f"reading {model} and its backbone")
        from experiments.predict import predict_file
        from spt.process.modes import AUTO

        throughput = predict_file(
            [model, *(ensemble or [])], file, output, every_class, prefix, threshold, device or AUTO
        )
        if not quiet:
            print(throughput, file=sys.stderr)


def neighbours(
    model: Model,
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
        from spt.errors import InputError
        from spt.serving.classifier import PromptClassifier
        from spt.serving.neighbours import needs_text, read_prompts

        _check_texts(text, pair)
        classifier = PromptClassifier.from_pretrained(model)
        if text is None and needs_text(classifier):
            raise InputError(
                "These prompts are generated from the text. Give one by --text to read those for it."
            )
        show(neighbour_table(read_prompts(classifier, text, pair, count)))


def _check_texts(text: str | None, pair: str | None) -> None:
    """Refuse an empty text, and a second one without a first, by the names of the options."""
    from spt.errors import InputError

    for option, given in (("--text", text), ("--pair", pair)):
        if given is not None and not given.strip():
            raise InputError(f"{option} is empty. Give it a text, or leave it out.")
    if pair is not None and text is None:
        raise InputError(
            "--pair is given, but no --text. Give the first text by --text, or leave --pair out."
        )
