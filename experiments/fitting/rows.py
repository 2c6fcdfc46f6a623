"""Texts and labels that are Python objects -> the columns of a run's splits."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from experiments.fitting.class_values import label_type
from spt.data.labels.label_lists import clean_label_lists, label_list
from spt.data.values import as_list, clean_labels, clean_texts, is_missing, python_values, rows_shown, some
from spt.errors import InputError
from spt.problems import Problems
from spt.sections import problems_of
from spt.tasks import Task

# the column of second texts, of a task that names none
SECOND_TEXT = "text_pair"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextColumns:
    """Hold the texts of some rows.

    Attributes:
        texts: one a row.
        pairs: the second text of each row; None where rows have one.
        names: of the columns, where they have names.
    """

    texts: list[Any]
    pairs: list[Any] | None = None
    names: tuple[str, ...] | None = None

    @property
    def width(self) -> int:
        """Count the texts of a row."""
        return 1 if self.pairs is None else 2


@dataclass(frozen=True)
class LabelledRows:
    """Hold the texts and labels of a split.

    Attributes:
        columns: the texts.
        labels: one a row, or a list of any number where the task has several labels a text.
        classes: that the labels had a column of 0 and 1 for; None where they were given in another form.
    """

    columns: TextColumns
    labels: list[Any]
    classes: tuple[int | str, ...] | None = None

    @classmethod
    def read(
        cls, rows: Any, labels: Any, pairs: Any, task: Task, split: str, names: Sequence[str] | None = None
    ) -> LabelledRows:
        """Read the rows of a split as `text_columns` and `label_column` do.

        Args:
            rows: as of `text_columns`.
            labels: as of `label_column`.
            pairs: as of `text_columns`.
            task: names the columns.
            split: names the rows in errors.
            names: of the columns of texts that train has; None for those of the task.

        Raises:
            InputError: as they do; or for no rows, another number of labels than of texts, labels of several
                types, or pairs of texts and labels.
        """
        columns = text_columns(rows, pairs, names or task.text_fields, split, task.label_fields)
        classes = indicated_classes(labels, task, split)
        read = cls(columns, label_column(labels, rows, task, split), classes)
        if len(read.labels) != len(columns.texts):
            raise InputError(
                f"There are {len(columns.texts)} texts of {split}, but {len(read.labels)} labels."
            )
        if not read.labels:
            raise InputError(f"There are no rows of {split}. Give at least two of each class.")
        # where every label is missing, each row is a problem of its own
        if read.each_label:
            label_type(read.each_label)
        read._refuse_answers_in_pairs(split)
        return read

    @property
    def each_label(self) -> list[Any]:
        """Return the labels of all rows, one after the other, without those that are missing."""
        inside = (label if isinstance(label, list | tuple) else [label] for label in self.labels)
        return [label for row in inside for label in row if not is_missing(label)]

    def _refuse_answers_in_pairs(self, split: str) -> None:
        """Refuse pairs of which one text is the label in each row: a column of labels among those of texts.

        Raises:
            InputError: naming which text it is.
        """
        # a few rows of one class may all have its name as a text
        several = len({label for label in self.labels if isinstance(label, str)}) > 1
        if self.columns.pairs is None or not several:
            return
        for place, texts in (("first", self.columns.texts), ("second", self.columns.pairs)):
            if all(map(_is_same_text, texts, self.labels)):
                raise InputError(
                    f"The {place} texts of {split} are its labels, so the answer would be in the input. Name "
                    "the column of the texts by task={'text': NAME}, or take the labels out of the rows."
                )

    def complete(self, what: str) -> LabelledRows:
        """Return the rows that have text and label, and log how many have not; a list of no labels is one."""
        texts, pairs = self.columns.texts, self.columns.pairs
        cells = zip(texts, *([] if pairs is None else [pairs]), self.labels, strict=True)
        whole = [row for row, values in enumerate(cells) if not any(map(is_missing, values))]
        if len(whole) == len(texts):
            return self
        left_out = sorted(set(range(len(texts))) - set(whole))
        log.warning(
            "left out of %s: %d of %d rows, which have no text or no label (%s)",
            what,
            len(left_out),
            len(texts),
            rows_shown(left_out),
        )
        kept = None if pairs is None else [pairs[row] for row in whole]
        columns = replace(self.columns, texts=[texts[row] for row in whole], pairs=kept)
        return replace(self, columns=columns, labels=[self.labels[row] for row in whole])

    def find_problems(self, split: str, task: Task, problems: Problems) -> None:
        """Note the rows whose texts or labels are missing or something else, and a single class of train."""
        columns = {"texts": self.columns.texts, "second texts": self.columns.pairs or []}
        for name, texts in columns.items():
            with problems.collecting():
                clean_texts(texts, f"The list of {name} of {split}")
        where = f"The list of labels of {split}"
        with problems.collecting():
            if task.multi_label:
                clean_label_lists(self.labels, where)
            else:
                names = clean_labels(self.labels, where)
                if split == "train" and len(set(names)) < 2:
                    problems.add(f"All rows of train have the label {names[0]!r}. Give at least two classes.")

    def by_column(self, task: Task) -> dict[str, list[Any]]:
        """Return the values by the task's columns."""
        given = (self.columns.texts, *([self.columns.pairs] if self.columns.pairs is not None else []))
        return {**dict(zip(task.text_fields, given, strict=True)), task.label: self.labels}


def fitting_task(task: Task, splits: Mapping[str, LabelledRows], problems: Problems) -> Task:
    """Return the task of the columns that were read: two of texts where rows have pairs, one of labels."""
    widths = {split: rows.columns.width for split, rows in splits.items()}
    width = 2 if task.text_pair else widths.get("train", 1)
    for split, given in widths.items():
        if given != width:
            whose = f"task '{task.name}' has" if task.text_pair else "those of train have"
            problems.add(f"The rows of {split} have {given} texts each, but {whose} {width}.")
    changes: dict[str, Any] = {}
    if width == 2 and not task.text_pair:
        _check_templates(task, problems)
        changes["text_pair"] = SECOND_TEXT
    if task.label_columns or task.label_delimiter:
        changes |= {
            "labels": task.labels or task.label_columns,
            "label_columns": None,
            "label_delimiter": None,
        }
    if (train := splits.get("train")) is not None and train.classes is not None:
        # a class without a row, as in a fold, has a column too
        changes["labels"] = [str(name) for name in train.classes]
    if problems.texts or not changes:
        return task
    try:
        return Task.model_validate({**task.model_dump(exclude_unset=True), **changes})
    except ValidationError as error:
        for problem in problems_of(error):
            problems.add(f"Task '{task.name}' does not fit the rows: {problem['msg']}.")
        return task


def _check_templates(task: Task, problems: Problems) -> None:
    """Note the templates of a task that have no place for a second text."""
    for field in ("template", "causal_template"):
        template = getattr(task, field)
        # one that follows from the other fields follows the rows too
        if field in task.model_fields_set and "{text_pair}" not in template:
            problems.add(
                f"task.{field} is {template!r}, which reads one text, but the rows of train are pairs. Write "
                "it with {text}, {text_pair} and {mask}, leave it out, or give one text a row."
            )


def text_columns(
    rows: Any, pairs: Any, names: Sequence[str], split: str, labels: Collection[str] = ()
) -> TextColumns:
    """Read the texts of some rows.

    Args:
        rows: texts as a list, an array or a Series; pairs of texts as a list of tuples or of lists, or an
            array of two columns; or a DataFrame, a `datasets.Dataset` or a mapping of columns: those with the
            names, or, if it has others, its only one or two, of which two are told in a warning.
        pairs: the second texts, where `rows` has one a row; None where it has both.
        names: of the columns of texts.
        split: names the rows in errors.
        labels: columns that are no texts, whatever the others are.

    Raises:
        InputError: for rows of another kind, columns that are not there, or another number of pairs.
    """
    columns = _columns(rows)
    if columns is None:
        read = _unnamed_columns(rows, split)
    else:
        read = _named_columns(columns, names if pairs is None else names[:1], split, labels)
    if pairs is None:
        return read
    if read.pairs is not None:
        raise InputError(
            f"The rows of {split} are pairs of texts, but pairs are given too. Give one of them."
        )
    seconds = as_list(pairs, f"The list of second texts of {split}")
    if len(seconds) != len(read.texts):
        raise InputError(f"There are {len(read.texts)} texts of {split}, but {len(seconds)} second texts.")
    return TextColumns(read.texts, seconds, read.names)


def label_column(labels: Any, rows: Any, task: Task, split: str) -> list[Any]:
    """Read the labels of some rows.

    Args:
        labels: as many as rows, as a list, an array or a Series, or columns of `indicated_classes`; None for
            the task's column of `rows`, where classes of a `datasets.ClassLabel` have their names, unless the
            task has others.
        rows: as of `text_columns`.
        task: names the column.
        split: names the rows in errors.

    Raises:
        InputError: if there are none, or they are of another kind.
    """
    if labels is None:
        given = _label_columns(rows, task, split)
        if task.label_columns:
            return _label_lists(given, task, split)
        labels = given[task.label]
    if (classes := indicated_classes(labels, task, split)) is not None:
        return _indicated(labels, classes, task, split)
    columns = _columns(labels)
    if columns is not None and len(columns) == 1:
        (labels,) = columns.values()
    if getattr(labels, "ndim", 1) == 2:
        labels = _single_column(labels, split)
    values = as_list(labels, f"The list of labels of {split}")
    if task.label_delimiter:
        return _label_lists({task.label: values}, task, split)
    if task.multi_label:
        # what is no list is refused with its row where rows are checked
        return [value if (items := label_list(value)) is None else items for value in values]
    return values


def indicated_classes(labels: Any, task: Task, split: str) -> tuple[int | str, ...] | None:
    """Return the classes that labels have a column of 0 and 1 for, in the order of the columns.

    They are called as the task says, or else as the columns of a table, or numbered from 0.

    Args:
        labels: a table, or an array of numbers [N, C], with two columns or more; others have no such classes.
        task: has no such labels either unless a text may have several.
        split: names the rows in errors.

    Raises:
        InputError: if the task has other classes.
    """
    if not task.multi_label or isinstance(labels, Mapping):
        return None
    columns = _columns(labels)
    names: tuple[int | str, ...] = () if columns is None else tuple(columns)
    if columns is None and getattr(labels, "ndim", 1) == 2 and hasattr(labels, "tolist"):
        names = () if _holds_texts(labels) else tuple(range(labels.shape[1]))
    if len(names) < 2:
        return None
    given = task.labels or task.label_columns
    if given is None:
        return names
    called = tuple(map(str, names))
    if len(given) != len(names) or (given != called and set(given) == set(called)):
        raise InputError(
            f"The labels of {split} have the columns {some(called)}, but the classes of task '{task.name}' "
            f"are {some(given)}. Give a column for each, in their order."
        )
    return given


def _indicated(
    labels: Any, classes: Sequence[int | str], task: Task, split: str
) -> list[list[int | str] | None]:
    """Return the labels of each row of a table or an array with a column of 0 and 1 for each class."""
    columns = _columns(labels)
    cells = python_values(labels.T) if columns is None else columns.values()
    value_of = {str(name): name for name in classes}
    table = {
        name: as_list(each, f"The column '{name}' of the labels of {split}")
        for name, each in zip(value_of, cells, strict=True)
    }
    changes = {"labels": None, "label_columns": tuple(table), "label_delimiter": None}
    rows = _label_lists(table, task.model_copy(update=changes), split)
    return [None if row is None else [value_of[name] for name in row] for row in rows]


def _holds_texts(labels: Any) -> bool:
    dtype = getattr(labels, "dtype", None)
    return isinstance(dtype, np.dtype) and dtype.kind in "OU"


def _single_column(labels: Any, split: str) -> Any:
    """Return the column of an array [N, 1], and an array [N, M] of texts as it is: a list of labels a row.

    Raises:
        InputError: for numbers, as of 0 and 1 for each class where a text has one label, and sparse ones.
    """
    if labels.shape[1] == 1:
        return labels[:, 0]
    if _holds_texts(labels):
        return labels
    raise InputError(
        f"The labels of {split} are an array of numbers of the shape {tuple(labels.shape)}, but must be one "
        "label a row. Where a text may have several, set task.multi_label, and give a list of labels a row, "
        "or 0 and 1 for each class as a DataFrame or an array that is not sparse."
    )


def _label_lists(columns: Mapping[str, Sequence[Any]], task: Task, split: str) -> list[list[str] | None]:
    """Return the labels of each row, where delimited cells or several columns say them, or None."""
    # loads datasets, for which other labels need not wait
    from spt.data.incomplete import incomplete_rows  # noqa: PLC0415
    from spt.data.labels.row_labels import row_labels  # noqa: PLC0415
    from spt.data.reading.raw_table import RawTable  # noqa: PLC0415

    table = RawTable(columns)
    missing = incomplete_rows(task, table)
    labels = iter(row_labels(task, split, table.without(missing) if missing else table))
    return [None if row in missing else next(labels) for row in range(len(table))]


def _label_columns(rows: Any, task: Task, split: str) -> dict[str, list[Any]]:
    """Return the columns of labels that rows have.

    Raises:
        InputError: if they have no such columns.
    """
    columns = _columns(rows)
    if columns is None:
        raise InputError(
            f"There are no labels of {split}: it requires y to be passed, but the target y is None. "
            "Give a label for each text."
        )
    if missing := [name for name in task.label_fields if name not in columns]:
        raise InputError(
            f"There are no labels of {split}, nor a column {some(map(repr, missing))} among {some(columns)}. "
            "Give labels, or name their column by task={'label': NAME}."
        )
    values = {name: as_list(columns[name], f"The column '{name}' of {split}") for name in task.label_fields}
    return _with_class_names(values, rows, task)


def _with_class_names(values: dict[str, list[Any]], rows: Any, task: Task) -> dict[str, list[Any]]:
    """Return columns of labels, with names for indices of named classes, unless the task has others."""
    if not isinstance(getattr(rows, "features", None), Mapping):
        return values
    # loads datasets, which rows of one have loaded before
    from spt.data.labels.row_labels import with_names  # noqa: PLC0415
    from spt.data.reading.raw_table import RawTable  # noqa: PLC0415

    classes = RawTable.of(rows).classes
    fitting = {
        name: names
        for name, names in classes.items()
        if name in values and (task.labels is None or set(names) <= set(task.labels))
    }
    return {**values, **{name: with_names(values[name], names) for name, names in fitting.items()}}


def _columns(rows: Any) -> dict[str, Any] | None:
    """Return the columns of rows that have some; None for others."""
    if isinstance(rows, Mapping):
        return {str(name): values for name, values in rows.items()}
    names = getattr(rows, "column_names", None)
    if names is None and hasattr(rows, "to_dict"):
        names = getattr(rows, "columns", None)
    return None if names is None else {str(name): rows[name] for name in names}


def _named_columns(
    columns: Mapping[str, Any], names: Sequence[str], split: str, labels: Collection[str]
) -> TextColumns:
    if not all(name in columns for name in names):
        others = [name for name in columns if name not in labels]
        # where one of two has its name, the other cannot be told by its place
        if not 1 <= len(others) <= 2 or any(name in columns for name in names):
            missing = some(repr(name) for name in names if name not in columns)
            raise InputError(
                f"The rows of {split} have no column {missing}, only {some(columns)}. Name the column of the "
                "texts by task={'text': NAME}, or give that column alone."
            )
        names = others
        if len(names) == 2:
            # one of them may be no text, such as an id
            log.warning(
                "the columns '%s' and '%s' of %s are taken for the first and the second text of each row; if "
                "they are, name them by task={'text': NAME, 'text_pair': NAME}, and if one is no text, name "
                "the other by task={'text': NAME}",
                *names,
                split,
            )
    texts, *seconds = (as_list(columns[name], f"The column '{name}' of {split}") for name in names)
    if seconds and len(seconds[0]) != len(texts):
        first, second = names
        raise InputError(
            f"The columns of {split} must have as many rows each, but have: {first} {len(texts)}, {second} "
            f"{len(seconds[0])}."
        )
    return TextColumns(texts, seconds[0] if seconds else None, tuple(names))


def _unnamed_columns(rows: Any, split: str) -> TextColumns:
    if getattr(rows, "ndim", 1) != 1:
        if rows.ndim != 2 or rows.shape[1] not in (1, 2):
            raise InputError(
                f"The rows of {split} are an array of the shape {tuple(rows.shape)}, but must be texts [N], "
                "or texts in one or two columns [N, 1] or [N, 2]."
            )
        texts, *seconds = (as_list(column, f"The rows of {split}") for column in rows.T)
        return TextColumns(texts, seconds[0] if seconds else None)
    values = as_list(rows, f"The list of texts of {split}")
    # JSON writes pairs as lists
    lengths = [len(value) if isinstance(value, list | tuple) else None for value in values]
    if not any(length is not None for length in lengths):
        return TextColumns(values)
    if wrong := [row for row, length in enumerate(lengths) if length != 2]:
        raise InputError(
            f"The rows of {split} must all be pairs (first text, second text), or all be texts, but are "
            f"neither in {rows_shown(wrong)}."
        )
    return TextColumns([first for first, _ in values], [second for _, second in values])


def _is_same_text(first: Any, second: Any) -> bool:
    # arrays would not compare as one value
    return isinstance(first, str) and isinstance(second, str) and first == second
