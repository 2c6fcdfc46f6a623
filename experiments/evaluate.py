"""A saved prompt scored on another labelled file: its metric with an interval, and every class for itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from experiments.keys import bad_config
from experiments.run.folder import RunFolder, stored_config
from spt.answers.class_scores import ClassScores, class_scores
from spt.answers.decisions import decide
from spt.answers.score_intervals import Interval, accuracy_interval, jackknife_metric, metric_interval
from spt.data.config import DataConfig
from spt.data.incomplete import complete_tables
from spt.data.labels.row_labels import row_labels
from spt.data.reading.files import read_file
from spt.data.reading.raw_table import RawTable
from spt.data.values import clean_texts
from spt.errors import InputError, unknown
from spt.metrics import TITLES
from spt.problems import Problems
from spt.process.devices import chosen_device
from spt.reports.wording import percent
from spt.saved_folders import PROMPT_JSON
from spt.serving.classifier import PromptClassifier
from spt.storage.files import restore_folder
from spt.tasks import Task

log = logging.getLogger(__name__)

# how a file says several labels a row
WAYS = ("label_delimiter", "label_columns")
# say how a file is read, what its columns are called, and what they hold
KEYS = (
    *(f"data.{key}" for key in ("format", "encoding", "columns", "delimiter", "quoting", "incomplete")),
    *(f"task.{key}" for key in ("text", "text_pair", "label", *WAYS)),
)


@dataclass(frozen=True)
class FileScores:
    """Hold the scores of a prompt on a file.

    Attributes:
        model: folder of the prompt.
        file: that was scored.
        scores: as `PromptClassifier.evaluate` gives them.
        intervals: of `test_accuracy` and `test_metric` at 95 %, over rows; None where these do not say how
            far a score may be off.
        classes: that occur in the file, or were answered, in the order of the prompt.
    """

    model: str
    file: str
    scores: Mapping[str, Any]
    intervals: Mapping[str, Interval | None]
    classes: Sequence[ClassScores]

    def as_json(self) -> dict[str, Any]:
        """Return all as JSON has it."""
        content = asdict(self)
        return {"model": self.model, "file": self.file, **content.pop("scores"), **content}

    def tables(self) -> list[Table]:
        """Return what people read: the scores, and a line a class."""
        title = TITLES[self.scores["metric"]]
        judged = {title: self._with_interval("test_metric"), "accuracy": self._with_interval("test_accuracy")}
        beside = {
            "macro F1": percent(self.scores["test_macro_f1"]),
            "weighted F1": percent(self.scores["test_weighted_f1"]),
        }
        # the task's metric may be one of the two
        lines = {**judged, **{name: share for name, share in beside.items() if name not in judged}}
        lines["rows"] = f"{self.scores['test_size']:,}"
        if "test_coverage" in self.scores:
            lines["answered"] = percent(self.scores["test_coverage"])
        summary = Table(show_header=False)
        for name, value in lines.items():
            summary.add_row(name, Text(value))
        return [summary, self._class_table()]

    def _with_interval(self, name: str) -> str:
        score, interval = percent(self.scores[name]), self.intervals[name]
        if interval is None:
            return f"{score} (no interval: it is the same whichever rows are left out)"
        low, high = interval
        return f"{score} (95 % interval over rows: {percent(low)} to {percent(high)})"

    def _class_table(self) -> Table:
        table = Table()
        table.add_column("class", overflow="fold")
        for head in ("precision", "recall", "F1", "rows"):
            table.add_column(head, justify="right", no_wrap=True)
        for scores in self.classes:
            shares = (percent(value) for value in (scores.precision, scores.recall, scores.f1))
            # brackets would be markup
            table.add_row(Text(scores.label), *shares, f"{scores.rows:,}")
        return table


def evaluate_on(model: Path, file: Path, overrides: Mapping[str, Any]) -> FileScores:
    """Score a saved prompt on a labelled file.

    Args:
        model: folder of a saved prompt, or of the run that trained it.
        file: CSV, TSV, JSON, parquet or lines, with the columns of the prompt's task.
        overrides: dotted keys of `KEYS`, where the file is not read by its ending, or has other columns. Rows
            without text or label are refused or left out as by the prompt's run, where its folder is there.

    Raises:
        InputError: for a folder that is no saved prompt, other keys, a column for two things, a file that
            cannot be read, or labels that the prompt was not trained on, with their rows.
    """
    folder = _prompt_folder(model)
    data = _reading({**_of_run(folder), **overrides})
    classifier = PromptClassifier.from_pretrained(folder).to(chosen_device())
    task = _with_columns(classifier.spec.task, overrides)
    table = read_file(file, data, task)
    _check_columns(task, table, file)
    table = _complete(task, table, data)
    given = row_labels(task, "the file", table)
    # one label a row is no list of labels
    named = given if task.multi_label else [name for (name,) in given]
    classes = classifier.classes(named, len(table), table.rows).astype(np.int64)
    _tell_positions(classifier.labels, given, file)
    texts, *pairs = _texts(task, table)
    chances = classifier.predict_proba(texts, pairs[0] if pairs else None)
    predicted = decide(task, chances, classifier.spec.answers.thresholds)
    return FileScores(
        str(model),
        str(file),
        classifier.scores(classes, chances),
        _intervals(classifier, classes, chances, predicted),
        class_scores(classes, predicted, classifier.labels),
    )


def _tell_positions(labels: Sequence[str], given: Sequence[Sequence[str]], file: Path) -> None:
    """Say which numbers of a file were taken for positions: it may have counted its classes otherwise."""
    if positions := sorted({name for row in given for name in row} - set(labels), key=int):
        meant = ", ".join(f"{position} is '{labels[int(position)]}'" for position in positions)
        log.warning("'%s' has labels that are read as positions among the prompt's: %s", file, meant)


def _complete(task: Task, table: RawTable, data: DataConfig) -> RawTable:
    """Return the table of the rows that have text and label, or refuse the others, as training does."""
    problems, split = Problems("the file"), "the file"
    complete = complete_tables(task, {split: table}, data.incomplete, problems)
    problems.refuse()
    return complete[split]


def _texts(task: Task, table: RawTable) -> list[list[str]]:
    """Return the texts of each column, or refuse what is none by its row in the file."""
    return [
        clean_texts(table.columns[name][:], table.where(f"The text column '{name}'", "the file"), table.rows)
        for name in task.text_fields
    ]


def _reading(overrides: Mapping[str, Any]) -> DataConfig:
    """Return how a file is read."""
    if foreign := [key for key in overrides if key not in KEYS]:
        raise InputError(
            f"With --on no run's keys are read, but {', '.join(map(repr, foreign))} is given. Allowed: "
            f"{', '.join(KEYS)}."
        )
    try:
        return DataConfig.model_validate(_section(overrides, "data"))
    except ValidationError as error:
        raise bad_config(error, "the options of data", DataConfig) from error


def _with_columns(task: Task, overrides: Mapping[str, Any]) -> Task:
    """Return a prompt's task with the names that its columns have in a file."""
    columns = _section(overrides, "task")
    names = {key: name for key, name in columns.items() if key not in WAYS}
    if wrong := [key for key, name in names.items() if not isinstance(name, str) or not name]:
        raise InputError(f"task.{wrong[0]} is {columns[wrong[0]]!r}, but must be the name of a column.")
    if "text_pair" in columns and not task.paired:
        raise InputError(f"task.text_pair is '{columns['text_pair']}', but the prompt reads one text a row.")
    if not task.multi_label and (ways := [key for key in WAYS if key in columns]):
        raise InputError(f"task.{ways[0]} is {columns[ways[0]]!r}, but the prompt gives one label a row.")
    changes = {**_replaced_ways(columns), **columns}
    try:
        return Task.model_validate({**task.model_dump(exclude_unset=True), **changes})
    except ValidationError as error:
        raise bad_config(error, "the columns of task", Task) from error


def _replaced_ways(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the prompt's task says of labels that what is said of the file takes the place of."""
    if "label_columns" in columns:
        # classes are called as their columns are: in another order than the prompt's they would be others
        return {"labels": None, "label_delimiter": None}
    return {"label_columns": None} if {"label", "label_delimiter"} & columns.keys() else {}


def _section(overrides: Mapping[str, Any], section: str) -> dict[str, Any]:
    return {
        key.removeprefix(f"{section}."): value
        for key, value in overrides.items()
        if key.startswith(f"{section}.")
    }


def _prompt_folder(model: Path) -> Path:
    """Return the folder of the saved prompt, which may be in that of a run."""
    place = RunFolder(model)
    restore_folder(place.model)
    return place.model if not (model / PROMPT_JSON).exists() and place.model.is_dir() else model


def _of_run(folder: Path) -> dict[str, Any]:
    """Return what the run that trained a prompt did with incomplete rows; nothing where there is no run."""
    run = stored_config(folder.absolute().parent)
    return {} if run is None else {"data.incomplete": run.data.incomplete}


def _check_columns(task: Task, table: RawTable, file: Path) -> None:
    for column in task.columns:
        if column not in table.names:
            advice = (
                f"The prompt's task reads it from {file}; set task.text, task.text_pair, task.label or "
                "task.label_columns."
            )
            raise unknown("column", column, table.names, advice)


def _intervals(
    classifier: PromptClassifier, classes: NDArray[Any], chances: NDArray[Any], predicted: NDArray[Any]
) -> dict[str, Interval | None]:
    """Return the intervals of the accuracy and of the task's metric."""
    task = classifier.spec.task
    scores = jackknife_metric(task, classes, chances, classifier.spec.answers.thresholds)
    return {
        "test_accuracy": accuracy_interval(classes, predicted),
        "test_metric": metric_interval(task, scores, len(classes)),
    }
