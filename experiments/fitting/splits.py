"""What `fit` is given -> the rows of each split, and the configuration that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.config import RunConfig
from experiments.fitting.rows import LabelledRows, fitting_task
from spt.problems import Problems


def held_out(**splits: Any) -> dict[str, tuple[Any, Any, Any]]:
    """Return rows, labels and second texts of the splits that are given, as a table or a tuple of these."""
    return {
        split: _parts(rows) if isinstance(rows, tuple) and len(rows) in (2, 3) else (rows, None, None)
        for split, rows in splits.items()
        if rows is not None
    }


def _parts(given: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    rows, labels, *pairs = given
    return rows, labels, pairs[0] if pairs else None


def read_splits(
    config: RunConfig, given: Mapping[str, tuple[Any, Any, Any]]
) -> tuple[dict[str, LabelledRows], RunConfig]:
    """Read the rows of each split, and fit the task to them.

    Raises:
        InputError: naming everything that is wrong with the rows.
    """
    problems = Problems("the rows")
    splits: dict[str, LabelledRows] = {}
    names: tuple[str, ...] | None = None
    for split, (rows, labels, pairs) in given.items():
        with problems.collecting():
            classes = splits["train"].classes if "train" in splits else None
            splits[split] = LabelledRows.read(rows, labels, pairs, config.task, split, names, classes)
            # columns of names of their own are in the order that train has them in
            names = names or splits[split].columns.names
    if config.data.test_size == 0 and "test" in given:
        problems.add("data.test_size is 0, but rows of test are given, too. Leave one of them out.")
    if "train" in splits:
        classes_count = len(config.task.labels or splits["train"].names)
        for split, read in splits.items():
            with problems.collecting():
                read.refuse_unclear_labels(split, config.task, classes_count)
    task = fitting_task(config.task, splits, problems)
    if problems.texts:
        # what is wrong with texts and labels alone is told as the rows are loaded
        for split, read in splits.items():
            read.find_problems(split, config.task, problems)
    problems.refuse()
    data = config.data if "test" in splits else config.data.model_copy(update={"test_size": 0})
    return splits, config.model_copy(update={"task": task, "data": data})
