"""From a task and the data options to the three splits that everything else works on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from types import MappingProxyType

import numpy as np
from datasets import Dataset, DatasetDict

from spt.data.columns import class_names, to_rows
from spt.data.config import DataConfig
from spt.data.incomplete import complete_tables
from spt.data.labels.label_sets import class_set, rows_by_class
from spt.data.reading.raw_table import RawTable
from spt.data.reading.sources import read_tables
from spt.data.splitting.held_out import default_size
from spt.data.splitting.look_alikes import warn_of_look_alikes
from spt.data.splitting.splits import first_of_each, others, per_class, stratified
from spt.data.values import some
from spt.errors import InputError
from spt.problems import Problems
from spt.tasks import Task

# held-out splits must be the same for every seed of a run
SPLIT_SEED = 20231
LPT_DEV = 1000
# in the order in which they are held out of train
HELD_OUT_SPLITS = ("test", "dev")
SPLIT_ORDER = ("train", "dev", "test")

log = logging.getLogger(__name__)


class Splits(DatasetDict):  # type: ignore[misc]
    """Hold the rows of train, dev and test.

    Attributes:
        left_out: how many rows of a source's split had no text or no label, and were left out.
    """

    left_out: Mapping[str, int] = MappingProxyType({})


def load_splits(
    task: Task, data: DataConfig, seed: int, tables: Mapping[str, RawTable] | None = None
) -> Splits:
    """Load the train, dev and test rows of a task.

    * A given split keeps its order. A missing one is held out of train, stratified, after repeated rows have
      left train. Rows of train whose texts occur in a given split leave train first, so that what is held out
      is in no other split; texts that given splits share are told in a warning, and so are those of any
      splits that differ in case, spaces or Unicode's form alone, whose rows stay.
    * With data.test_size 0 there are no rows of test, and none are held out for it.
    * `{seed}` in the source is the seed: ready splits of several seeds may lie in a folder each.
    * Few-shot rows, for training and for dev, and a sample of train depend on the seed; few-shot dev rows
      come from the given dev split, or from train. All else is the same for every seed.

    Args:
        task: the columns and classes.
        data: the source and the sizes.
        seed: at least 0.
        tables: the raw table of each split, in place of the source.

    Returns:
        Splits train, dev and test with the columns text, text_pair (pair tasks only) and label (ClassLabel,
        or a list of it where a row may have several).

    Raises:
        InputError: the source, columns, texts or labels are wrong, with all that is wrong in any split; or a
            size is.
    """
    data = data.with_seed(seed)
    problems = Problems("the data")
    tables = tables or read_tables(task, data, problems)
    complete = complete_tables(task, tables, data.incomplete, problems)
    rows = to_rows(task, complete, problems)
    train = rows.pop("train")
    if data.test_size == 0:
        rows["test"] = train.select([])
    if len(rows) < len(HELD_OUT_SPLITS):
        train = _without_repeats(train)
    default = default_size(len(train))
    draw: dict[str, Draw] = {
        "test": partial(_draw_test, data=data, default=default),
        "dev": partial(_draw_dev, data=data, default=default, seed=seed),
    }
    # given splits first, so that what is held out of train is in none of them
    taken = {split: table.select(draw[split](table, 0)) for split, table in rows.items()}
    _warn_of_overlap({"train": train, **taken})
    for table in taken.values():
        train = _without(train, table)
    for split in HELD_OUT_SPLITS:
        if split not in taken:
            train, taken[split] = _hold_out(train, split, draw[split])
    dev, test = taken["dev"], taken["test"]
    chosen = _draw_train(train, data, np.random.default_rng([seed, 1]))
    train = train if chosen is None else train.select(chosen)
    splits = Splits({"train": train, "dev": dev, "test": test})
    splits.left_out = {
        split: len(tables[split]) - len(complete[split])
        for split in tables
        if len(complete[split]) < len(tables[split])
    }
    _check_classes(splits)
    warn_of_look_alikes({split: _texts(rows) for split, rows in splits.items()})
    return splits


# from the rows to choose from, and how many of each class must stay there, to the chosen rows
Draw = Callable[[Dataset, int], list[int]]


def _hold_out(train: Dataset, split: str, draw: Draw) -> tuple[Dataset, Dataset]:
    """Return what is left of train, and the rows of the split."""
    rows = draw(train, 1)
    taken, rest = train.select(rows), train.select(others(len(train), rows))
    left = _without(rest, taken)
    if len(left) < len(rest):
        log.info("%d rows left train because their texts occur in %s", len(rest) - len(left), split)
    return left, taken


def _without(train: Dataset, other: Dataset) -> Dataset:
    """Return the rows of train whose texts are not in another split."""
    texts = set(_texts(other))
    return train.select([row for row, text in enumerate(_texts(train)) if text not in texts])


def _warn_of_overlap(given: Mapping[str, Dataset]) -> None:
    """Say in one line how many rows of given splits have texts that another split has too."""
    texts = {split: _texts(rows) for split, rows in given.items()}
    shared = []
    for split, other in combinations([name for name in SPLIT_ORDER if name in given], 2):
        inside = set(texts[other])
        if count := sum(text in inside for text in texts[split]):
            shared.append(
                f"{count} of {len(texts[split])} rows of {split} have texts that are in {other} too"
            )
    if shared:
        log.warning(
            "splits overlap: %s; train goes on without such rows, and scores of dev and test that share rows "
            "are not independent",
            ", ".join(shared),
        )


def _draw_test(pool: Dataset, keep: int, data: DataConfig, default: int) -> list[int]:
    if data.test_size == 0:
        return []
    size = data.test_size or (default if keep else len(pool))
    return _draw(pool, size, "test_size", np.random.default_rng([SPLIT_SEED, 0]), keep)


def _draw_dev(pool: Dataset, keep: int, data: DataConfig, default: int, seed: int) -> list[int]:
    generator = np.random.default_rng([seed, 0])
    if data.shots_per_class:
        return _draw_shots(pool, data.shots_per_class, "dev", generator)
    if data.shots_total:
        for_train = keep * max(data.shots_total, len(rows_by_class(pool["label"][:])))
        return _draw(pool, data.dev_size or min(LPT_DEV, len(pool) - for_train), "dev_size", generator, keep)
    size = data.dev_size or (default if keep else len(pool))
    return _draw(pool, size, "dev_size", np.random.default_rng([SPLIT_SEED, 1]), keep)


def _draw_train(train: Dataset, data: DataConfig, generator: np.random.Generator) -> list[int] | None:
    if data.shots_per_class:
        return _draw_shots(train, data.shots_per_class, "train", generator)
    option = "shots_total" if data.shots_total else "train_size"
    size: int | None = getattr(data, option)
    if size is None:
        return None
    classes = len(rows_by_class(train["label"][:]))
    if size < classes:
        raise InputError(f"data.{option} is {size}, but must be at least {classes}, one row a class.")
    return _draw(train, size, option, generator, 0)


def _draw(pool: Dataset, size: int, option: str, generator: np.random.Generator, keep: int) -> list[int]:
    if size < 1:
        raise InputError(f"No rows are left for data.{option}: there are {len(pool)} rows to choose from.")
    try:
        return stratified(pool["label"][:], size, generator, keep)
    except InputError as error:
        held_out = (
            f" Of the rows of train {len(pool)} are different and in no other split, and one of each class "
            "stays there."
        )
        raise InputError(
            f"data.{option} cannot be met. {error}{held_out if keep else ''} Choose a smaller number, or add "
            "rows."
        ) from error


def _draw_shots(pool: Dataset, shots: int, split: str, generator: np.random.Generator) -> list[int]:
    names = class_names(pool)
    counts = rows_by_class(pool["label"][:])
    label, least = min(((label, counts[label]) for label in range(len(names))), key=lambda item: item[1])
    if least < shots:
        raise InputError(
            f"data.shots_per_class is {shots}, but class '{names[label]}' has only {least} rows left "
            f"for {split}. Choose fewer shots, or add rows."
        )
    return per_class(pool["label"][:], shots, generator)


def _texts(rows: Dataset) -> list[tuple[str, ...]]:
    columns = [rows[column][:] for column in ("text", "text_pair") if column in rows.column_names]
    return list(zip(*columns, strict=True))


def _without_repeats(train: Dataset) -> Dataset:
    first_rows = first_of_each(zip(_texts(train), map(class_set, train["label"][:]), strict=True))
    if len(first_rows) < len(train):
        log.info("%d repeated rows left train before splitting it", len(train) - len(first_rows))
    return train.select(first_rows)


def _check_classes(splits: DatasetDict) -> None:
    """Refuse classes that lost all training rows to dev or test, and name those that no score is about."""
    names = class_names(splits["train"])
    classes = {split: set(rows_by_class(rows["label"][:])) for split, rows in splits.items()}
    seen = classes["train"]
    for split in ("dev", "test"):
        if unseen := classes[split] - seen:
            raise InputError(
                f"Class '{names[min(unseen)]}' is in {split}, but no training row of it is left, because its "
                "rows were drawn for dev or test, or have texts that are also there. Add training rows, or "
                f"remove the class from {split}."
            )
    for split in ("dev", "test"):
        if len(splits[split]) and (missing := sorted(seen - classes[split])):
            log.warning(
                "%s has no row of the class %s, which its score says nothing of; add rows of that class",
                split,
                some(repr(names[label]) for label in missing),
            )
