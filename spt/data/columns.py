"""Raw tables -> rows with exactly the columns text, text_pair (pair tasks only) and label, a class index."""

import logging
from collections.abc import Iterable, Mapping

from datasets import ClassLabel, Dataset, Features, Value

from spt.errors import InputError, unknown
from spt.tasks import Task

SHOWN = 5

log = logging.getLogger(__name__)


def to_rows(task: Task, tables: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """The tables with their texts and class indices checked.

    A label is a class name, or the index of a class where the task names its classes.

    Raises:
        InputError: a column is unknown, a split is empty, a text or a label is missing, there is one class
            only, or a label is not one of the task's or does not occur in train.
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
            f"{len(names)} classes: {_some(names)}. Give one word a class, in this order."
        )
    return {split: _rows(task, split, tables[split], classes[split], names) for split in tables}


def _check_columns(task: Task, split: str, table: Dataset) -> None:
    for field in ("text", "text_pair", "label"):
        column = getattr(task, field)
        if column is not None and column not in table.column_names:
            advice = (
                f"Task '{task.name}' reads its {field} from it, in {split}; set task.{field} to one of these."
            )
            raise unknown("column", column, table.column_names, advice)
    if len(table) == 0:
        raise InputError(f"The {split} split has no rows.")


def _label_names(task: Task, split: str, table: Dataset) -> list[str]:
    values = table[task.label][:]
    missing = [row for row, value in enumerate(values) if value is None or str(value).strip() == ""]
    if missing:
        raise InputError(f"The label column '{task.label}' of {split} is empty in {_row_numbers(missing)}.")
    feature = table.features[task.label]
    if isinstance(feature, ClassLabel):
        # hidden test labels are -1, which has no name
        return [feature.int2str(value) if value >= 0 else str(value) for value in values]
    return [_label_name(value) for value in values]


def _label_name(value: object) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()  # type: ignore[call-overload]


def _class_names(train: Dataset, column: str, labels: list[str]) -> tuple[str, ...]:
    feature = train.features[column]
    if isinstance(feature, ClassLabel):
        return tuple(feature.names)
    distinct = set(labels)
    numeric = all(label.isdecimal() for label in distinct)
    return tuple(sorted(distinct, key=int if numeric else str))


def _class_indices(task: Task, split: str, labels: list[str], names: tuple[str, ...]) -> list[int]:
    index = {name: position for position, name in enumerate(names)}
    if task.labels is not None:
        index = {str(position): position for position in range(len(names))} | index
    unknown_rows = [row for row, label in enumerate(labels) if label not in index]
    if unknown_rows:
        found = dict.fromkeys(labels[row] for row in unknown_rows)
        origin = f"a class of task '{task.name}'" if task.labels else "in the training data"
        raise InputError(
            f"Label {_some(repr(label) for label in found)} of {split}, column '{task.label}', is not "
            f"{origin} ({_row_numbers(unknown_rows)}). Classes: {', '.join(names)}. "
            "Mend the rows, or set task.labels or task.label."
        )
    return [index[label] for label in labels]


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
                f"Label {_some(unseen)} of {split} is not in the training data ({_row_numbers(rows)}). "
                "Add training rows of that class, or remove these."
            )
    if missing := [name for index, name in enumerate(names) if index not in seen]:
        log.warning("no training row has the label %s", _some(repr(name) for name in missing))


def _rows(task: Task, split: str, table: Dataset, classes: list[int], names: tuple[str, ...]) -> Dataset:
    columns: dict[str, list[str] | list[int]] = {"text": _texts(split, table, task.text)}
    features = Features({"text": Value("string")})
    if task.text_pair is not None:
        columns["text_pair"] = _texts(split, table, task.text_pair)
        features["text_pair"] = Value("string")
    features["label"] = ClassLabel(names=list(names))
    return Dataset.from_dict({**columns, "label": classes}, features=features)


def _texts(split: str, table: Dataset, column: str) -> list[str]:
    texts = ["" if value is None else str(value).strip() for value in table[column][:]]
    if missing := [row for row, text in enumerate(texts) if not text]:
        raise InputError(
            f"The text column '{column}' of {split} is empty in {_row_numbers(missing)}. "
            "Fill or remove these rows."
        )
    return texts


def _row_numbers(rows: list[int]) -> str:
    """Rows counted from 1, without the header."""
    numbers = _some(str(row + 1) for row in rows)
    return f"row {numbers}" if len(rows) == 1 else f"{len(rows)} rows: {numbers}"


def _some(values: Iterable[str]) -> str:
    listed = list(values)
    return ", ".join(listed[:SHOWN]) + (" …" if len(listed) > SHOWN else "")
