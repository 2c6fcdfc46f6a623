"""Raw tables -> rows with exactly the columns text, text_pair (pair tasks only) and label, a class index."""

import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasets import ClassLabel, Dataset, Features, Value

from spt.data.raw_table import RawTable
from spt.data.values import clean_labels, clean_texts, rows_shown, some
from spt.errors import InputError, unknown
from spt.tasks import Task

# of a position among the classes
MAX_DIGITS = 9

log = logging.getLogger(__name__)


def to_rows(task: Task, tables: Mapping[str, RawTable]) -> dict[str, Dataset]:
    """The tables with their texts and class indices checked.

    A label is a class name, or the index of a class where the task names its classes and no name has a number
    of its own.

    Raises:
        InputError: a column is unknown, a split is empty, a text or a label is missing or of a wrong type,
            there is one class only, or a label is not one of the task's or does not occur in train.
    """
    for split, table in tables.items():
        _check_columns(task, split, table)
    labels = {split: _label_names(task, split, table) for split, table in tables.items()}
    names = task.labels or _class_names(tables["train"], task.label, labels["train"])
    classes = {split: _class_indices(task, split, labels[split], names) for split in tables}
    _check_seen(task, classes, names)
    if task.label_words and len(task.label_words) != len(names):
        raise InputError(
            f"Task '{task.name}' has {len(task.label_words)} label_words, but train has "
            f"{len(names)} classes: {some(names)}. Give one word a class, in this order."
        )
    return {split: _rows(task, split, tables[split], classes[split], names) for split in tables}


def _check_columns(task: Task, split: str, table: RawTable) -> None:
    for field in ("text", "text_pair", "label"):
        column = getattr(task, field)
        if column is not None and column not in table.names:
            advice = (
                f"Task '{task.name}' reads its {field} from it, in {split}; set task.{field} to one of these."
            )
            raise unknown("column", column, table.names, advice)
    if len(table) == 0:
        raise InputError(f"The {split} split has no rows.")


def _label_names(task: Task, split: str, table: RawTable) -> list[str]:
    values: Sequence[Any] = table.columns[task.label][:]
    where = f"The label column '{task.label}' of {split}"
    if names := table.classes.get(task.label):
        # hidden test labels are -1, which names no class
        named = [names[value] if value is not None and 0 <= value < len(names) else None for value in values]
        clean_labels(named, where)
        return [str(name) for name in named]
    labels = clean_labels(values, where)
    spaced = [row for row, value in enumerate(values) if isinstance(value, str) and value != labels[row]]
    if spaced:
        log.warning("%s has spaces around its labels, which are left out, in %s", where, rows_shown(spaced))
    return labels


def _class_names(train: RawTable, column: str, labels: list[str]) -> tuple[str, ...]:
    if names := train.classes.get(column):
        return names
    distinct = set(labels)
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


def _class_indices(task: Task, split: str, labels: list[str], names: tuple[str, ...]) -> list[int]:
    index = {name: position for position, name in enumerate(names)}
    if task.labels is not None and not any(map(_has_own_number, names, range(len(names)))):
        index = {str(position): position for position in range(len(names))} | index
    unknown_rows = [row for row, label in enumerate(labels) if label not in index]
    if unknown_rows:
        foreign = dict.fromkeys(labels[row] for row in unknown_rows)
        origin = f"a class of task '{task.name}'" if task.labels else "in the training data"
        raise InputError(
            f"Label {some(repr(label) for label in foreign)} of {split}, column '{task.label}', is not "
            f"{origin} ({rows_shown(unknown_rows)}). Classes: {', '.join(names)}. "
            "Mend the rows, or set task.labels or task.label."
        )
    return [index[label] for label in labels]


def _has_own_number(name: str, position: int) -> bool:
    """Say whether a number may mean this class by its name, which is not that of its position."""
    return _is_number(name) or any(
        len(number) > MAX_DIGITS or int(number) != position for number in re.findall(r"\d+", name)
    )


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return any(map(str.isnumeric, name)) and not any(map(str.isalpha, name))
    return True


def _check_seen(task: Task, classes: Mapping[str, list[int]], names: tuple[str, ...]) -> None:
    seen = set(classes["train"])
    if len(seen) < 2:
        raise InputError(
            f"The training data has one class only: '{names[min(seen)]}' in column '{task.label}'. "
            "A classifier needs at least two."
        )
    for split in classes:
        rows = [row for row, label in enumerate(classes[split]) if label not in seen]
        if rows:
            unseen = dict.fromkeys(repr(names[classes[split][row]]) for row in rows)
            raise InputError(
                f"Label {some(unseen)} of {split} is not in the training data ({rows_shown(rows)}). "
                "Add training rows of that class, or remove these."
            )
    if missing := [name for index, name in enumerate(names) if index not in seen]:
        log.warning("no training row has the label %s", some(repr(name) for name in missing))


def _rows(task: Task, split: str, table: RawTable, classes: list[int], names: tuple[str, ...]) -> Dataset:
    columns: dict[str, list[str] | list[int]] = {"text": _texts(split, table, task.text)}
    features = Features({"text": Value("string")})
    if task.text_pair is not None:
        columns["text_pair"] = _texts(split, table, task.text_pair)
        features["text_pair"] = Value("string")
    features["label"] = ClassLabel(names=list(names))
    return Dataset.from_dict({**columns, "label": classes}, features=features)


def _texts(split: str, table: RawTable, column: str) -> list[str]:
    return clean_texts(table.columns[column][:], f"The text column '{column}' of {split}")
