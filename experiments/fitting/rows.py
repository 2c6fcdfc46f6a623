"""Texts and labels that are Python objects -> the columns of a run's splits."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from experiments.fitting.class_values import label_type
from experiments.fitting.label_columns import label_column
from experiments.fitting.text_columns import TextColumns, read_text_columns
from spt.data.labels.indicators import Class, indicated_classes
from spt.data.labels.label_lists import clean_label_lists, refuse_unclear_lists
from spt.data.values import class_name, clean_labels, clean_texts, is_missing, rows_shown
from spt.errors import InputError
from spt.problems import Problems
from spt.sections import problems_of
from spt.tasks import Task

# the column of second texts, of a task that names none
SECOND_TEXT = "text_pair"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledRows:
    """Hold the texts and labels of a split.

    Attributes:
        columns: the texts.
        labels: one a row, or a list of any number where the task has several labels a text.
        classes: that the labels had a column of 0 and 1 for; None where they were given in another form.
        numbers: of the rows as they were given, from 0, where some were left out; None for all, in order.
    """

    columns: TextColumns
    labels: list[Any]
    classes: tuple[Class, ...] | None = None
    numbers: Sequence[int] | None = None

    @classmethod
    def read(
        cls,
        rows: Any,
        labels: Any,
        pairs: Any,
        task: Task,
        split: str,
        names: Sequence[str] | None = None,
        classes: Sequence[Class] | None = None,
    ) -> LabelledRows:
        """Read the rows of a split as `read_text_columns` and `label_column` do.

        Args:
            rows: as of `read_text_columns`.
            labels: as of `label_column`.
            pairs: as of `read_text_columns`.
            task: names the columns.
            split: names the rows in errors.
            names: of the columns of texts that train has; None for those of the task.
            classes: that the labels of train had a column for, if any.

        Raises:
            InputError: as they do; or for no rows, another number of labels than of texts, labels of several
                types, or pairs of texts and labels.
        """
        columns = read_text_columns(rows, pairs, names or task.text_fields, split, task.label_fields)
        read = cls(
            columns,
            label_column(labels, rows, task, split, classes),
            indicated_classes(labels, task, split, classes),
        )
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
    def row_numbers(self) -> Sequence[int]:
        """Return the number of each row as they were given, from 0."""
        return range(len(self.labels)) if self.numbers is None else self.numbers

    @property
    def each_label(self) -> list[Any]:
        """Return the labels of all rows, one after the other, without those that are missing."""
        inside = (label if isinstance(label, list | tuple) else [label] for label in self.labels)
        return [label for row in inside for label in row if not is_missing(label)]

    @property
    def names(self) -> set[str]:
        """Return the names of the classes that the labels are of, or have a column for."""
        return set(map(class_name, self.each_label if self.classes is None else self.classes))

    def refuse_unclear_labels(self, what: str, task: Task, classes: int) -> None:
        """Refuse lists that may be 0 and 1 for each of so many classes, as `refuse_unclear_lists` does.

        Raises:
            InputError: as it does.
        """
        if task.multi_label and self.classes is None:
            refuse_unclear_lists(self.labels, classes, f"The list of labels of {what}")

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
        numbers = [row for row, values in enumerate(cells) if not any(map(is_missing, values))]
        if len(numbers) == len(texts):
            return self
        left_out = sorted(set(range(len(texts))) - set(numbers))
        log.warning(
            "left out of %s: %d of %d rows, which have no text or no label (%s)",
            what,
            len(left_out),
            len(texts),
            rows_shown(left_out),
        )
        complete_pairs = None if pairs is None else [pairs[row] for row in numbers]
        columns = replace(self.columns, texts=[texts[row] for row in numbers], pairs=complete_pairs)
        return replace(self, columns=columns, labels=[self.labels[row] for row in numbers], numbers=numbers)

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


def _is_same_text(first: Any, second: Any) -> bool:
    # arrays would not compare as one value
    return isinstance(first, str) and isinstance(second, str) and first == second
