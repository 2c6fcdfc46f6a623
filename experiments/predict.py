"""Labels for the records of a file, answered and written in parts: a file may be of any length."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from spt.data.config import ENDINGS
from spt.data.records.table_writers import Records, WriteRecords, output_ending, writing_table
from spt.data.records.text_lines import read_lines
from spt.data.records.text_record import TextRecord
from spt.data.records.text_tables import delimiter_of, has_columns, read_table
from spt.data.values import SHOWN
from spt.errors import InputError
from spt.process.modes import AUTO
from spt.serving.predictions import Answer, LabelSet, check_threshold, predictions
from spt.tasks import Task

STANDARD_INPUT = Path("-")
# records that are read and answered together, batches of similar length: more are no faster
CHUNK = 4096

Answers = list[dict[str, Any]]
# from the (texts, second texts) of records to the columns of their answers
AnswerTexts = Callable[[Sequence[str], Sequence[str] | None], Answers]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Throughput:
    """Hold how many records were answered, and in how many seconds, reading and writing included."""

    records: int
    seconds: float

    def __str__(self) -> str:
        """Say it in a line."""
        rate = self.records / max(self.seconds, 1e-9)
        return f"{self.records:,} records in {self.seconds:.1f} s: {rate:,.0f} a second"


def predict_file(
    models: Sequence[Path],
    file: Path,
    output: Path | None = None,
    every_class: bool = False,
    prefix: str = "",
    threshold: float | None = None,
    device: str = AUTO,
) -> Throughput:
    """Label the records of a file.

    A record without a text gets an empty answer, and how many there are is logged.

    Args:
        models: folders of saved prompts; several of the same task vote.
        file: a table with the columns of the task, or a text (or pair) a line, as `read_records` tells them
            apart; '-' is standard input.
        output: a file to write the records to with the columns of their answers, in the format of its ending;
            None prints the answers alone, a JSON object a line.
        every_class: add the probability of each class.
        prefix: of the names of the added columns.
        threshold: least probability, or share of votes, of an answer; below it the label is None. That of the
            prompt by default.
        device: where torch computes, as of `use_device`.

    Raises:
        InputError: for a folder that is no saved prompt, prompts that do not fit together, a record that
            cannot be read or written, or an output that has a column of an added name already.
    """
    _check_files(file, output)
    check_threshold(threshold)
    if every_class and len(models) > 1:
        raise InputError(
            "The votes of several prompts are for labels, and give no probability of each class. Leave out "
            "--all, or --ensemble."
        )
    answer, example, task = _answerer(models, every_class, threshold, device)
    nothing = dict.fromkeys(example)
    begin, count, silent = time.perf_counter(), 0, _Silent()
    rows = read_records(file, task, all_columns=output is not None)
    with _writer(file, output, task, _named(example, prefix)) as write:
        while chunk := list(islice(rows, CHUNK)):
            silent.note(chunk, count)
            with _placed(chunk, count, file):
                answers = [_named(columns, prefix) for columns in _answered(chunk, answer, nothing)]
            write(answers if output is None else _joined(chunk, answers, file, count))
            count += len(chunk)
    silent.tell(file)
    return Throughput(count, time.perf_counter() - begin)


def read_records(file: Path, task: Task, all_columns: bool = True) -> Iterator[TextRecord]:
    """Yield the records of a file: of tables by their columns, else of each line.

    Args:
        file: to read, or a pipe of lines; '-' is standard input.
        task: names the columns of the texts.
        all_columns: whether other columns are of use.

    Raises:
        InputError: at the first record that cannot be read, or has something else than a text, naming it.
    """
    if file == STANDARD_INPUT:
        yield from read_lines(sys.stdin.buffer, task)
    elif has_columns(file):
        yield from read_table(file, task, all_columns)
    else:
        with file.open("rb") as lines:
            yield from read_lines(lines, task)


def _check_files(file: Path, output: Path | None) -> None:
    """Refuse a file that is not there, or an output that cannot be written, before models are loaded."""
    if file != STANDARD_INPUT and not file.is_file():
        _check_pipe(file)
    if output is None:
        return
    if output.exists() and not output.is_file():
        raise InputError(
            f"'{output}' is no file, but --output is one that is there whole or not at all. Leave out "
            "--output to print the answers to standard output, or choose a file."
        )
    output_ending(output)
    if not output.parent.is_dir():
        raise InputError(f"There is no folder '{output.parent}' to write '{output.name}' into.")
    if output.exists() and file != STANDARD_INPUT and output.samefile(file):
        raise InputError(f"'{output}' is the file that is read. Write the answers to another file.")


def _check_pipe(file: Path) -> None:
    """Refuse what is no file, but for a pipe of lines: a table is opened more than once."""
    if not file.exists():
        raise InputError(f"There is no file '{file}'. Working directory: {Path.cwd()}.")
    if not file.is_fifo() or has_columns(file):
        raise InputError(
            f"'{file}' is no file, and no pipe of lines. Give a table as a file, and lines as a file, a pipe "
            "whose name has no ending of a table, or - for standard input."
        )


@dataclass
class _Silent:
    """Count the records without a text, which get no answer."""

    number: int = 0
    first: list[int] = field(default_factory=list)

    def note(self, chunk: Sequence[TextRecord], before: int) -> None:
        rows = [row for row, record in enumerate(chunk, start=before + 1) if record.texts is None]
        self.number += len(rows)
        self.first += rows[: SHOWN - len(self.first)]

    def tell(self, file: Path) -> None:
        if self.number:
            rows = ", ".join(map(str, self.first)) + (" …" if self.number > len(self.first) else "")
            log.warning("%s: %d without a text, and so without an answer: row %s", file, self.number, rows)


@contextmanager
def _placed(chunk: Sequence[TextRecord], before: int, file: Path) -> Iterator[None]:
    """Say of an error that counts the texts of a chunk from 1 where in the file they are."""
    try:
        yield
    except InputError as error:
        rows = [row for row, record in enumerate(chunk, start=before + 1) if record.texts is not None]
        if rows == [*range(1, len(rows) + 1)]:
            raise
        raise InputError(
            f"Counting from 1 the texts that the records {rows[0]:,} to {rows[-1]:,} of {file} have: {error}"
        ) from error


def _answered(chunk: Sequence[TextRecord], answer: AnswerTexts, nothing: Mapping[str, Any]) -> Answers:
    """Answer records in order, those without a text by nothing."""
    given = [record.texts for record in chunk if record.texts is not None]
    texts, *pairs = zip(*given, strict=True) if given else [()]
    answers = iter(answer(texts, pairs[0] if pairs else None) if given else [])
    return [dict(nothing) if record.texts is None else next(answers) for record in chunk]


def _answerer(
    models: Sequence[Path], every_class: bool, threshold: float | None, device: str
) -> tuple[AnswerTexts, Mapping[str, Any], Task]:
    """Load models, and return what answers texts, an example of an answer, and the task of the models."""
    # loads torch, for which a file that is not there need not wait
    from spt.process.devices import chosen_device, use_device  # noqa: PLC0415
    from spt.serving.classifier import PromptClassifier  # noqa: PLC0415
    from spt.serving.ensemble import PromptEnsemble  # noqa: PLC0415

    use_device(device)
    if len(models) > 1:
        ensemble = PromptEnsemble.from_pretrained(models)
        for member in ensemble.classifiers:
            member.to(chosen_device())

        def vote(texts: Sequence[str], pairs: Sequence[str] | None) -> Answers:
            return [_columns(answer) for answer in ensemble.predict(texts, pairs, threshold=threshold)]

        task = ensemble.classifiers[0].spec.task
        return vote, _example(task), task
    classifier = PromptClassifier.from_pretrained(models[0]).to(chosen_device())

    names = [f"probability_{label}" for label in classifier.labels] if every_class else []

    def answer(texts: Sequence[str], pairs: Sequence[str] | None) -> Answers:
        chances = classifier.predict_proba(texts, pairs)
        answers = [_columns(answer) for answer in predictions(classifier.spec, chances, threshold)]
        if every_class:
            for columns, row in zip(answers, chances.tolist(), strict=True):
                columns |= dict(zip(names, row, strict=True))
        return answers

    task = classifier.spec.task
    return answer, {**_example(task), **dict.fromkeys(names, 0.0)}, task


def _example(task: Task) -> dict[str, Any]:
    return {"labels": [""]} if task.multi_label else {"label": "", "probability": 0.0}


def _columns(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, LabelSet):
        return {"labels": list(answer.labels)}
    return {"label": answer.label, "probability": answer.probability}


def _named(columns: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {prefix + name: value for name, value in columns.items()}


def _joined(chunk: Sequence[TextRecord], answers: Records, file: Path, before: int) -> Answers:
    """Return records with their answers behind their own columns, which must have other names."""
    for row, (record, answer) in enumerate(zip(chunk, answers, strict=True), start=before + 1):
        if clash := [name for name in answer if name in record.columns]:
            raise InputError(
                f"Row {row} of {file} has {', '.join(map(repr, clash))} already, which the answers are to be "
                "written under. Give --prefix for their names, as --prefix predicted_."
            )
    return [{**record.columns, **answer} for record, answer in zip(chunk, answers, strict=True)]


def _writer(
    file: Path, output: Path | None, task: Task, example: Mapping[str, Any]
) -> AbstractContextManager[WriteRecords]:
    """Return what takes the records of the output as they come, with columns of answers as in the example."""
    if output is None:
        return nullcontext(_print)
    kind = ENDINGS.get(file.suffix.lower())
    delimiter = delimiter_of(file, task) if kind == "csv" and output_ending(output) == ".csv" else ","
    return writing_table(output, delimiter, file if kind == "parquet" else None, example)


def _print(answers: Records) -> None:
    for answer in answers:
        print(json.dumps(answer))
    sys.stdout.flush()
