"""Labels for the texts of a file, answered in parts: a file may be of any length."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from spt.data.text_lines import read_line_texts
from spt.data.text_tables import has_columns, read_table_texts
from spt.devices import chosen_device
from spt.errors import InputError
from spt.serving.classifier import Prediction, PromptClassifier
from spt.serving.ensemble import PromptEnsemble
from spt.tasks import Task

STANDARD_INPUT = Path("-")
# texts that are read and answered together
CHUNK = 1024


def predict_file(models: Sequence[Path], file: Path) -> Iterator[list[Prediction]]:
    """Label the texts of a file, on the accelerator where there is one.

    Args:
        models: folders of saved prompts; several of the same task vote.
        file: a table with the columns of the task, or a text (or pair) a line, as `read_texts` tells them
            apart; '-' is standard input.

    Returns:
        The predictions of a chunk of texts at a time, one a record, in order.

    Raises:
        InputError: for a folder that is no saved prompt, prompts that do not fit together, or a record that
            cannot be read.
    """
    ensemble = PromptEnsemble.from_pretrained(models) if len(models) > 1 else None
    classifiers = ensemble.classifiers if ensemble else [PromptClassifier.from_pretrained(models[0])]
    for classifier in classifiers:
        classifier.model.to(chosen_device())
    predictor = ensemble or classifiers[0]
    rows = read_texts(file, classifiers[0].spec.task)
    while chunk := list(islice(rows, CHUNK)):
        texts, *pairs = zip(*chunk, strict=True)
        yield predictor.predict(texts, pairs[0] if pairs else None)


def read_texts(file: Path, task: Task) -> Iterator[tuple[str, ...]]:
    """Yield the (text,) or (text, text_pair) of each record: of tables by their columns, else of each line.

    Raises:
        InputError: if there is no such file, or at the first record that cannot be read, naming it.
    """
    if file == STANDARD_INPUT:
        yield from read_line_texts(sys.stdin.buffer, task)
    elif not file.exists() or file.is_dir():
        raise InputError(f"There is no file '{file}'. Working directory: {Path.cwd()}.")
    elif has_columns(file):
        yield from read_table_texts(file, task)
    else:
        with file.open("rb") as lines:
            yield from read_line_texts(lines, task)
