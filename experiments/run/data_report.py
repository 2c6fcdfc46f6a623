"""What the data of a run are like: rows, classes, repeats, contradictions, and every problem."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments.config import RunConfig
from spt.data.columns import class_names
from spt.data.labels.label_sets import multi_hot, rows_by_class
from spt.data.loading import load_splits
from spt.data.reading.raw_table import RawTable
from spt.data.reading.sources import read_tables
from spt.data.values import rows_shown, some
from spt.problems import Problems
from spt.tasks import Task
from spt.training.class_weights import class_weights

# rows of train below which a class is hard to learn
FEW_ROWS = 10


@dataclass(frozen=True)
class SplitReport:
    """One split as a run would use it.

    Attributes:
        rows: how many.
        classes: name -> rows of the class, in class order; with several labels a row, a row counts for each.
        texts: of the rows, two each where the task has pairs.
    """

    rows: int
    classes: Mapping[str, int]
    texts: Sequence[tuple[str, ...]] = field(repr=False)


@dataclass(frozen=True)
class DataReport:
    """The data of a run.

    Attributes:
        problems: for which a run would be refused, each with what to do.
        notes: what is worth a look and stops nothing.
        splits: of which nothing is known where the data cannot be read.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    splits: Mapping[str, SplitReport]


def report_data(config: RunConfig) -> DataReport:
    """Read and split the data of a run as it would, and look at them, without anything of torch."""
    task, data, seed = config.task, config.data.with_seed(config.seed), config.seed
    problems = Problems("the data")
    with taken_warnings() as notes:
        tables: Mapping[str, RawTable] = {}
        with problems.collecting():
            tables = read_tables(task, data)
        splits: Mapping[str, SplitReport] = {}
        if tables:
            with problems.collecting():
                loaded = load_splits(task, data, seed, tables)
                splits = _split_reports(loaded)
                _check_weights(config, loaded["train"])
    table_notes = [line for split, table in tables.items() for line in _table_notes(task, split, table)]
    if problems.texts and tables and not splits:
        # what the rows that are whole look like is of use too
        complete = data.model_copy(update={"incomplete": "drop"})
        with taken_warnings(), Problems("the data").collecting():
            splits = _split_reports(load_splits(task, complete, seed, tables))
    return DataReport(tuple(problems.texts), (*notes, *table_notes, *_class_notes(splits)), splits)


def check_data(configs: Sequence[RunConfig]) -> None:
    """Refuse data that some of many runs cannot use, before the first of them begins.

    Raises:
        InputError: with the problems of all data that the runs read.
    """
    problems = Problems("the data of the runs")
    for config in distinct_data(configs):
        for problem in report_data(config).problems:
            problems.add(problem)
    problems.refuse()


def _check_weights(config: RunConfig, train: Any) -> None:
    """Refuse a weight of a class that no training row has."""
    names, labels = class_names(train), train["label"][:]
    task = config.task.model_copy(update={"labels": names})
    indices = multi_hot(labels, len(names)) if task.multi_label else np.array(labels)
    class_weights(config.training.class_weights, task, indices)


def distinct_data(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """Return the first of the runs that read the same data, whatever samples their seeds draw."""
    first: dict[Any, RunConfig] = {}
    for config in configs:
        data, weights = config.data.with_seed(config.seed), repr(config.training.class_weights)
        key = (config.task.model_dump_json(), data.model_dump_json(), weights)
        first.setdefault(key, config)
    return list(first.values())


def _split_reports(splits: Mapping[str, Any]) -> dict[str, SplitReport]:
    return {split: _split_report(rows) for split, rows in splits.items()}


def _split_report(rows: Any) -> SplitReport:
    names, labels = class_names(rows), rows["label"][:]
    counts = rows_by_class(labels)
    columns = [rows[column][:] for column in ("text", "text_pair") if column in rows.column_names]
    texts = list(zip(*columns, strict=True))
    return SplitReport(len(labels), {name: counts[index] for index, name in enumerate(names)}, texts)


def _table_notes(task: Task, split: str, table: RawTable) -> Iterator[str]:
    """Yield what is odd about the rows of a source: the same text twice, with one label or with several."""
    columns = task.text_fields
    if not all(column in table.columns for column in (*columns, task.label)):
        return
    texts = list(zip(*([str(value).strip() for value in table.columns[c][:]] for c in columns), strict=True))
    labels = [str(value).strip() for value in table.columns[task.label][:]]
    rows: dict[tuple[str, ...], dict[str, int]] = {}
    repeated, contradicting = [], []
    for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
        before = rows.setdefault(text, {})
        if label in before:
            repeated.append(row)
        elif before and any(text):
            contradicting.append(row)
        before.setdefault(label, row)
    if repeated:
        yield f"{split}: text and label stand in an earlier row too, in {rows_shown(repeated)}"
    if contradicting:
        yield f"{split}: the text has another label in an earlier row, in {rows_shown(contradicting)}"


def _class_notes(splits: Mapping[str, SplitReport]) -> Iterator[str]:
    train = splits.get("train")
    if train and (few := [f"{name} ({rows})" for name, rows in train.classes.items() if rows < FEW_ROWS]):
        yield f"train: classes of fewer than {FEW_ROWS} rows, which are hard to learn: {some(few)}"


@contextmanager
def taken_warnings() -> Iterator[list[str]]:
    """Take the warnings of reading data, in place of those who show them."""
    logger = logging.getLogger("spt.data")
    taken = _Taken()
    propagate, level = logger.propagate, logger.level
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.addHandler(taken)
    try:
        yield taken.lines
    finally:
        logger.removeHandler(taken)
        logger.propagate = propagate
        logger.setLevel(level)


class _Taken(logging.Handler):
    """Keep messages as lines."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
