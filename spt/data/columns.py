"""Raw tables -> rows with exactly the columns text, text_pair (pair tasks only) and label.

A label is a class index or, where the task has several labels a row, the list of their indices.
"""

import logging
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from datasets import ClassLabel, Dataset, Features, List, Value

from spt.data.labels.class_labels import check_class_labels
from spt.data.labels.class_numbers import class_numbers
from spt.data.labels.row_labels import row_labels
from spt.data.reading.raw_table import RawTable
from spt.data.values import clean_texts, rows_shown, some
from spt.errors import InputError, unknown
from spt.problems import Problems
from spt.tasks import Task, check_metric

COLUMN_FIELDS = ("text", "text_pair", "label")

log = logging.getLogger(__name__)


def to_rows(
    task: Task, tables: Mapping[str, RawTable], problems: Problems | None = None
) -> dict[str, Dataset]:
    """Turn tables into rows of checked texts and class indices.

    A label is a class name, or the index of a class where the task names its classes and no name has a number
    of its own.

    Args:
        task: names columns and classes.
        tables: of each split.
        problems: that are known already; they are refused together with what is wrong here.

    Raises:
        InputError: with everything that is wrong: a column is unknown, a split is empty, a text or a label is
            missing or of a wrong type, there is one class only, a label is not one of the task's or does not
            occur in train, or the metric is not for that many classes.
    """
    problems = problems or Problems("the data")
    readable = {}
    for split, table in tables.items():
        if _has_columns(task, split, table, problems):
            readable[split] = table
    texts: dict[str, dict[str, list[str]]] = {}
    labels: dict[str, list[list[str]]] = {}
    for split, table in readable.items():
        texts[split] = _texts(task, split, table, problems)
        with problems.collecting():
            labels[split] = row_labels(task, split, table)
    names: tuple[str, ...] = ()
    classes: dict[str, list[list[int]]] = {}
    # without rows that are refused already, classes would seem to be missing
    if "train" in labels and not (problems.texts and tables["train"].numbers is not None):
        names = (
            task.labels
            or task.label_columns
            or _class_names(task, tables["train"], labels["train"], problems)
        )
        for split, given in labels.items():
            with problems.collecting():
                classes[split] = _class_indices(task, split, tables[split], given, names)
        if "train" in classes:
            _check_seen(task, tables, labels, classes, names, problems)
        _check_task(task, names, problems)
    problems.refuse()
    return {split: _rows(task, texts[split], classes[split], names) for split in tables}


def _has_columns(task: Task, split: str, table: RawTable, problems: Problems) -> bool:
    """Note the task's columns that a table lacks, and that it has no rows; says whether all is there."""
    missing = [column for column in task.columns if column not in table.names]
    for column in missing:
        field = next((field for field in COLUMN_FIELDS if getattr(task, field) == column), "label_columns")
        advice = (
            f"Task '{task.name}' reads its {field} from it, in {split}; set task.{field} to one of these."
        )
        problems.add(f"{table.prefix}{unknown('column', column, table.names, advice)}")
    if not missing and len(table) == 0:
        problems.add(f"{table.prefix}The {split} split has no rows.")
    return not missing and len(table) > 0


def _class_names(task: Task, train: RawTable, labels: list[list[str]], problems: Problems) -> tuple[str, ...]:
    if names := train.classes.get(task.label):
        return names
    if not task.multi_label:
        with problems.collecting():
            where = train.where(f"The label column '{task.label}'", "train")
            check_class_labels([label for (label,) in labels], where)
    distinct = {label for row in labels for label in row}
    numeric = all(label.isdecimal() for label in distinct)
    # numbers that are equal, as 1 and 01, need an order too: that of a set is another in each process
    names = tuple(sorted(distinct, key=lambda label: (int(label) if numeric else 0, label)))
    _warn_of_look_alikes(names)
    return names


def _warn_of_look_alikes(names: Iterable[str]) -> None:
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_folded(name), []).append(repr(name))
    if groups := [" and ".join(group) for group in alike.values() if len(group) > 1]:
        log.warning(
            "labels of train look alike, but are different classes: %s; write each class in one way",
            some(groups),
        )


def _folded(label: str) -> str:
    """Return what a label has in common with other spellings of it."""
    if label.isdecimal():
        return str(int(label))
    folded = unicodedata.normalize("NFKC", label).casefold()
    return "".join(
        letter for letter in folded if not letter.isspace() and unicodedata.category(letter) != "Cf"
    )


def _class_indices(
    task: Task, split: str, table: RawTable, labels: list[list[str]], names: tuple[str, ...]
) -> list[list[int]]:
    index = class_numbers(names, positions=task.labels is not None)
    foreign = {label: None for row in labels for label in row if label not in index}
    if foreign:
        rows = [
            row
            for row, given in zip(table.rows, labels, strict=True)
            if any(label in foreign for label in given)
        ]
        origin = f"a class of task '{task.name}'" if task.labels else "in the training data"
        shown = table.where(f"Label {some(repr(label) for label in foreign)}", split)
        raise InputError(
            f"{shown}, column '{task.label}', is not {origin} ({rows_shown(rows)}). "
            f"Classes: {', '.join(names)}. Mend the rows, or set task.labels or task.label."
        )
    return [sorted(index[label] for label in row) for row in labels]


def _check_seen(
    task: Task,
    tables: Mapping[str, RawTable],
    given: Mapping[str, list[list[str]]],
    classes: Mapping[str, list[list[int]]],
    names: tuple[str, ...],
    problems: Problems,
) -> None:
    """Note classes that train cannot teach, and tell of those that it does not have.

    `given` are the labels as the tables have them, `classes` what they were taken for.
    """
    seen = {index for row in classes["train"] for index in row}
    if len(seen) < 2:
        only = f"one class only: '{names[min(seen)]}'" if seen else "no class at all"
        problems.add(
            f"The training data has {only} in column '{', '.join(task.label_fields)}'. "
            "A classifier needs at least two."
        )
    elif task.multi_label and all(len(row) == len(names) for row in classes["train"]):
        problems.add(
            f"Every training row has all of its classes ({some(names)}), so nothing is told apart. "
            "Of 0 and 1 for each class MultiLabelBinarizer's inverse_transform makes lists of labels; a "
            "file has a column for each, which task.label_columns names."
        )
    for split, labels in classes.items():
        unseen = {index: None for row in labels for index in row if index not in seen}
        if unseen:
            rows = [
                row
                for row, indices in zip(tables[split].rows, labels, strict=True)
                if any(index in unseen for index in indices)
            ]
            shown = tables[split].where(f"Label {some(repr(names[index]) for index in unseen)}", split)
            problems.add(
                f"{shown} is not in the training data ({rows_shown(rows)}). "
                "Add training rows of that class, or remove these."
            )
    if missing := [name for index, name in enumerate(names) if index not in seen]:
        by_position = {label for row in given["train"] for label in row} - set(names)
        log.warning(
            "no training row has the label %s%s",
            some(repr(name) for name in missing),
            "; labels are read as positions in task.labels, from 0" if by_position else "",
        )


def _check_task(task: Task, names: tuple[str, ...], problems: Problems) -> None:
    """Note what of the task does not fit its number of classes."""
    if task.label_words and len(task.label_words) != len(names):
        problems.add(
            f"Task '{task.name}' has {len(task.label_words)} label_words, but train has "
            f"{len(names)} classes: {some(names)}. Give one word a class, in this order."
        )
    with problems.collecting():
        check_metric(task, len(names))


def _rows(
    task: Task, texts: Mapping[str, list[str]], classes: list[list[int]], names: tuple[str, ...]
) -> Dataset:
    label: Any = ClassLabel(names=list(names))
    labels: list[Any] = classes if task.multi_label else [row[0] for row in classes]
    features = Features({column: Value("string") for column in texts})
    features["label"] = List(label) if task.multi_label else label
    return Dataset.from_dict({**texts, "label": labels}, features=features)


def class_names(rows: Dataset) -> tuple[str, ...]:
    """Return the names of the classes of rows that `to_rows` gave."""
    feature = rows.features["label"]
    return tuple(getattr(feature, "feature", feature).names)


def _texts(task: Task, split: str, table: RawTable, problems: Problems) -> dict[str, list[str]]:
    columns = {"text": task.text} | ({"text_pair": task.text_pair} if task.text_pair else {})
    texts = {}
    for field, column in columns.items():
        with problems.collecting():
            where = table.where(f"The text column '{column}'", split)
            texts[field] = clean_texts(table.columns[column][:], where, table.rows)
    return texts
