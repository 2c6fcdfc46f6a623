"""Labels for lines of text: plain, with a tab between the two texts of a pair, or JSON."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from spt.data.values import is_utf8
from spt.devices import best_device
from spt.errors import InputError
from spt.serving.classifier import Prediction, PromptClassifier
from spt.serving.ensemble import PromptEnsemble

# lines that are read and answered together
CHUNK = 1024

Row = tuple[str, ...]


def predict_lines(models: Sequence[Path], lines: Iterable[bytes]) -> Iterator[list[Prediction]]:
    """Label one text, or pair of texts, a line, on the accelerator where there is one.

    Args:
        models: folders of saved prompts; several of the same task vote.
        lines: as `read_rows` takes them.

    Returns:
        The predictions of a chunk of lines at a time, as the lines come.

    Raises:
        InputError: for a folder that is no saved prompt, prompts that do not fit together, or a line that
            cannot be read.
    """
    ensemble = PromptEnsemble.from_pretrained(models) if len(models) > 1 else None
    classifiers = ensemble.classifiers if ensemble else [PromptClassifier.from_pretrained(models[0])]
    for classifier in classifiers:
        classifier.model.to(best_device())
    predictor = ensemble or classifiers[0]
    in_pairs = classifiers[0].spec.task.text_pair is not None
    rows = read_rows(lines, in_pairs)
    while chunk := list(islice(rows, CHUNK)):
        texts = [row[0] for row in chunk]
        yield predictor.predict(texts, [row[1] for row in chunk] if in_pairs else None)


def read_rows(lines: Iterable[bytes], pairs: bool) -> Iterator[Row]:
    """Read one (text,) or (text, text_pair) a line, as the lines come.

    Args:
        lines: UTF-8; JSON throughout if the first line is an object with the key "text".
        pairs: whether a row has two texts.

    Raises:
        InputError: at the first line that cannot be read, naming it.
    """
    as_json = False
    for number, raw in enumerate(lines, start=1):
        where = f"Line {number}"
        line = _decoded(raw, where)
        if number == 1:
            as_json = _is_json_row(line, where)
        row = _from_json(line, pairs, where) if as_json else _from_text(line, pairs, where)
        if not all(text.strip() for text in row):
            raise InputError(f"{where}: the text is empty. Give each line a text.")
        if not all(map(is_utf8, row)):
            raise InputError(f"{where}: the text holds half of a surrogate pair. Mend or remove the line.")
        yield row


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8").removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 ({error}). Convert the input to UTF-8.") from error


def _is_json_row(line: str, where: str) -> bool:
    try:
        row = _parsed(line, where)
    except json.JSONDecodeError:
        return False
    return isinstance(row, dict) and "text" in row


def _parsed(line: str, where: str) -> Any:
    try:
        # no number is needed, and Python refuses to read very long ones as whole ones
        return json.loads(line, parse_int=float)
    except RecursionError:
        raise InputError(
            f"{where}: nested too deeply. Give one text a line, or a JSON object with it."
        ) from None


def _from_json(line: str, pairs: bool, where: str) -> Row:
    try:
        row = _parsed(line, where)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error}), but the first line is.") from error
    keys = ("text", "text_pair") if pairs else ("text",)
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in keys):
        raise InputError(f"{where}: must be a JSON object with text under {' and '.join(map(repr, keys))}.")
    if not pairs and row.get("text_pair") is not None:
        raise InputError(f"{where}: has a 'text_pair', but the model's task has one text a row.")
    return tuple(row[key] for key in keys)


def _from_text(line: str, pairs: bool, where: str) -> Row:
    if not pairs:
        return (line,)
    row = tuple(line.split("\t"))
    if len(row) != 2:
        raise InputError(
            f"{where}: the model's task has two texts a row, with one tab between them, "
            f"but this line has {len(row) - 1} tabs."
        )
    return row
