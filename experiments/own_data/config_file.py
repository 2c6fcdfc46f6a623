"""A short config for a file, with a comment where a choice was made, and the lines that say what was seen."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.config import checked
from experiments.keys import inline, override
from experiments.own_data.roles import Roles, guess_roles
from experiments.own_data.survey import UTF_8, Column, Survey, survey
from experiments.paths import anchored
from spt.data.reading.source_files import SPLIT_NAMES, folder_files
from spt.data.splitting.held_out import rows_left_for_train
from spt.data.values import some
from spt.errors import InputError
from spt.storage.files import write_text
from spt.storage.yaml_files import parse_yaml
from spt.training.by_rows import options_by_rows
from strategies.options import DEFAULT

# tokens of a word, roughly, in English
TOKENS_A_WORD = 1.4
LENGTHS = (64, 128, 256, 512)
# rows of a class below which its scores say little
FEW_ROWS = 10
SHOWN_CLASSES = 8
# splits that are held out of train where they have no file
HELD_OUT = ("dev", "test")
NAMES = {",": "commas", ";": "semicolons", "tab": "tabs", "|": "bars"}


def write_config(
    path: Path, output: Path, overrides: Mapping[str, Any] | None = None, force: bool = False
) -> list[str]:
    """Look at a file and write a config for it that `spt run` takes.

    Args:
        path: of the file with text and label.
        output: of the config.
        overrides: dotted keys over what would be written; task.text and task.label are believed.
        force: write over a file that is there.

    Returns:
        What was seen, in lines for people.

    Raises:
        InputError: if the file cannot be read or has no text and label, or the config is there or not valid.
    """
    if output.exists() and not force:
        raise InputError(
            f"'{output}' is there already. Choose another --output, or write over it by --force."
        )
    if not output.parent.is_dir():
        raise InputError(f"There is no folder '{output.parent}' for '{output.name}'. Make it first.")
    overrides = overrides or {}
    file = survey(path)
    roles = guess_roles(file, overrides.get("task.text"), overrides.get("task.label"))
    _check_columns(file, roles)
    comments: dict[str, str] = {}
    tree = _tree(file, roles, output.absolute().parent, comments)
    override(tree, overrides)
    # whatever is wrong is said before anything is written
    config = checked(anchored(tree, output.absolute().parent), str(output))
    given = [split for split in HELD_OUT if getattr(config.data, split) is not None]
    classes = len(_column(file, roles.label).counts)
    complete = _complete_rows(file, config.task.columns)
    # rows that repeat leave a file that is split
    different = complete if len(given) == len(HELD_OUT) else set(complete)
    rows = rows_left_for_train(len(different), classes, config.data, given)
    if options := options_by_rows(config.training, rows, config.head, config.task):
        tree["training"] = {**tree.get("training", {}), **options}
        comments[f"training.{next(iter(options))}"] = f"as suits {rows} rows to train on"
    text = "\n".join(_lines(file, tree, comments)) + "\n"
    _check_read_back(text, tree, path)
    write_text(output, text)
    return list(_seen(file, roles))


def _check_read_back(text: str, tree: Mapping[str, Any], path: Path) -> None:
    """Refuse a config that would not be read as what was to be written."""
    try:
        problem = "" if parse_yaml(text) == tree else "it would have other values"
    except InputError as error:
        problem = str(error)
    if problem:
        raise InputError(
            f"A config for '{path}' could not be read: {problem}. Give the file, its columns and its classes "
            "names without special characters."
        )


def _complete_rows(file: Survey, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the rows that lack nothing in some columns, as text."""
    columns = [column.values for column in file.columns if column.name in names]
    rows = (
        tuple("" if value is None else str(value).strip() for value in row)
        for row in zip(*columns, strict=True)
    )
    return [row for row in rows if all(row)]


def _check_columns(file: Survey, roles: Roles) -> None:
    names = [column.name for column in file.columns]
    for key, name in (("task.text", roles.text), ("task.label", roles.label)):
        if name not in names:
            raise InputError(f"{key} is '{name}', but '{file.path}' has the columns {', '.join(names)}.")


def _tree(file: Survey, roles: Roles, folder: Path, comments: dict[str, str]) -> dict[str, Any]:
    """Return the nested keys for a file, and note comments by dotted key."""
    text, label = _column(file, roles.text), _column(file, roles.label)
    task: dict[str, Any] = {"name": "custom", "text": roles.text}
    if roles.text_pair:
        task["text_pair"] = roles.text_pair
    task["label"] = roles.label
    if label.label_lists is not None:
        task["multi_label"] = True
        comments["task.multi_label"] = "each of its cells is a list: a text may have several labels, or none"
    comments["task.label"] = f"{len(label.counts)} classes: {_classes(label)}"
    return {
        "name": _name(file.path),
        "task": task,
        "data": {**_files(file, folder, comments), **_reading(file), **_rows(text, label, comments)},
        "backbone": {"name": "minilm-l6"},
        "search": {"strategy": DEFAULT, "k": 2},
    }


def _files(file: Survey, folder: Path, comments: dict[str, str]) -> dict[str, Any]:
    """Return the file and, where it is called train, those of dev and test beside it."""
    files = {"train": file.path}
    if file.path.stem in SPLIT_NAMES["train"]:
        beside = folder_files(file.path.absolute().parent)
        files |= {split: path for split, path in beside.items() if split != "train"}
    missing = [split for split in HELD_OUT if split not in files]
    if missing:
        comments["data.train"] = (
            f"{' and '.join(missing)}: a tenth each of its rows, at most 500, is held out"
        )
    return {split: os.path.relpath(path, folder) for split, path in files.items()}


def _reading(file: Survey) -> dict[str, Any]:
    """Return the options without which the file would be read in another way."""
    reading: dict[str, Any] = {}
    if file.encoding not in (None, UTF_8):
        reading["encoding"] = file.encoding
    if file.delimiter not in (None, ",") and file.format == "csv":
        reading["delimiter"] = file.delimiter
    if not file.has_header:
        reading["columns"] = [column.name for column in file.columns]
    return reading


def _rows(text: Column, label: Column, comments: dict[str, str]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    if text.missing or label.missing:
        rows["incomplete"] = "drop"
        comments["data.incomplete"] = (
            f"without {text.name}: {text.missing}, without {label.name}: {label.missing}; refuse: mend them"
        )
    words = text.words(0.95)
    wanted = TOKENS_A_WORD * words
    rows["max_length"] = next((length for length in LENGTHS if length >= wanted), LENGTHS[-1])
    comments["data.max_length"] = f"tokens; 95 in 100 texts have up to {words} words"
    return rows


def _lines(file: Survey, tree: Mapping[str, Any], comments: Mapping[str, str]) -> Iterator[str]:
    file_name = _one_line(file.path.name)
    yield f"# of {file_name}, {file.rows} rows; see `spt config` for every key, and `spt check`"
    for key, value in tree.items():
        if not isinstance(value, Mapping):
            yield f"{key}: {inline(value)}"
            continue
        yield f"{key}:"
        for name, inner in value.items():
            dotted = f"{key}.{name}"
            comment = comments.get(dotted, COMMENTS.get(dotted))
            yield f"  {name}: {inline(inner)}" + (f"  # {_one_line(comment)}" if comment else "")


COMMENTS = {
    "backbone.name": "small and English; e5-small reads 100 languages; or a hub name, as roberta-base",
    "search.strategy": "scores each layer in one pass; spt_darts learns gates, random trains candidates",
    "search.k": "layers that get a prompt",
}


def _seen(file: Survey, roles: Roles) -> Iterator[str]:
    """Write what was seen of a file: a line, one a column, and what should be looked at."""
    yield f"{_one_line(str(file.path))}: {', '.join(_facts(file))}"
    names = [_one_line(column.name) for column in file.columns]
    width = max(map(len, names))
    for name, column in zip(names, file.columns, strict=True):
        yield f"  {name:<{width}}  {_described(column, roles)}"
    label = _column(file, roles.label)
    if few := [f"{name} ({count})" for name, count in label.counts.items() if count < FEW_ROWS]:
        yield f"Classes of few rows, whose scores say little: {some(few)}."
    if label.spaced:
        yield f"Labels with spaces around them, which are left out: in {label.spaced} rows."
    if roles.other_labels:
        yield f"Other columns that could be the label: {some(roles.other_labels)}; add task.label=COLUMN."


def _facts(file: Survey) -> Iterator[str]:
    yield f"{file.rows} rows of {file.format.upper()}"
    if file.encoding is not None:
        yield file.encoding + (" with a byte order mark" if file.has_bom else "")
    if file.delimiter is not None:
        yield f"{NAMES[file.delimiter]} between fields"
    if not file.has_header:
        yield "no header"


def _described(column: Column, roles: Roles) -> str:
    role = roles.of_columns[column.name]
    facts = [f"{role:<11}"]
    if role in ("text", "second text"):
        facts.append(
            f"{column.words(0.5)} words at the median, {max(map(len, column.texts))} characters at most"
        )
    elif role == "label":
        facts.append(f"{len(column.counts)} classes: {_classes(column)}")
    elif column.texts:
        facts.append(f"as {column.texts[0][:40]}")
    return "  ".join([*facts, *([f"(missing in {column.missing} rows)"] if column.missing else [])])


def _classes(label: Column) -> str:
    shown = [
        f"{' '.join(name.split())[:30]} {count}" for name, count in label.counts.most_common(SHOWN_CLASSES)
    ]
    return ", ".join(shown) + (" …" if len(label.counts) > SHOWN_CLASSES else "")


def _one_line(text: str) -> str:
    """Return a text on one line, as a comment is, without the characters that YAML refuses."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def _column(file: Survey, name: str) -> Column:
    return next(column for column in file.columns if column.name == name)


def _name(path: Path) -> str:
    return re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") or "run"
