"""Several labels a text: read from lists, cells or columns, shared out evenly, and refused by row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from pydantic import ValidationError

from spt.data.config import DataConfig
from spt.data.labels.row_labels import with_names
from spt.data.loading import load_splits
from spt.data.reading.tables import to_tables
from spt.data.splitting.splits import per_class, stratified
from spt.errors import InputError
from spt.tasks import Task, get_task

SETS = [["a", "b"], [], ["b"], ["c", "a"]]
NAMES = ("a", "b", "c")


def rows(number: int = 60) -> list[dict[str, Any]]:
    return [{"text": f"text {i}", "label": SETS[i % len(SETS)]} for i in range(number)]


def write_lines(path: Path, *given: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
    return path


def as_json(folder: Path) -> Path:
    return write_lines(folder / "t.jsonl", *rows())


def as_parquet(folder: Path) -> Path:
    Dataset.from_list(rows()).to_parquet(folder / "t.parquet")
    return folder / "t.parquet"


def as_class_labels(folder: Path) -> Path:
    features = Features({"text": Value("string"), "label": List(ClassLabel(names=list(NAMES)))})
    Dataset.from_list(rows(), features=features).to_parquet(folder / "c.parquet")
    return folder / "c.parquet"


def as_json_in_csv(folder: Path) -> Path:
    lines = [f'{row["text"]},"{json.dumps(row["label"]).replace(chr(34), chr(34) * 2)}"' for row in rows()]
    (folder / "t.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    return folder / "t.csv"


def as_cells(folder: Path) -> Path:
    lines = [f"{row['text']},{' | '.join(row['label'])}" for row in rows()]
    (folder / "d.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    return folder / "d.csv"


def as_columns(folder: Path) -> Path:
    lines = [f"{row['text']},{','.join(str(int(n in row['label'])) for n in NAMES)}" for row in rows()]
    (folder / "k.csv").write_text("\n".join(["text,a,b,c", *lines]), encoding="utf-8")
    return folder / "k.csv"


def load(path: Path, **task: Any) -> Any:
    return load_splits(get_task("custom", multi_label=True, **task), DataConfig(train=path), 0)


@pytest.mark.parametrize(
    ("write", "task"),
    [
        (as_json, {}),
        (as_parquet, {}),
        (as_class_labels, {}),
        (as_json_in_csv, {}),
        (as_cells, {"label_delimiter": "|"}),
        (as_columns, {"label_columns": NAMES}),
    ],
)
def test_every_way_to_write_several_labels_gives_the_same_rows(
    write: Callable[[Path], Path], task: dict[str, Any], tmp_path: Path
) -> None:
    splits = load(write(tmp_path), **task)
    expected = {row["text"]: sorted(row["label"]) for row in rows()}
    found = {}
    for split in splits.values():
        assert split.features["label"].feature.names == list(NAMES)
        for row in split:
            found[row["text"]] = [NAMES[index] for index in row["label"]]
    assert found == expected


def test_columns_may_be_called_otherwise_than_their_classes(tmp_path: Path) -> None:
    splits = load(as_columns(tmp_path), label_columns=NAMES, labels=("x", "y", "z"))
    assert splits["train"].features["label"].feature.names == ["x", "y", "z"]


def test_rows_from_python_take_lists_and_arrays() -> None:
    texts, sets = [row["text"] for row in rows()], [row["label"] for row in rows()]
    task = get_task("custom", multi_label=True)
    tables = to_tables({"train": (texts, [np.array(labels, dtype=object) for labels in sets])}, task)
    splits = load_splits(task, DataConfig(), 0, tables)
    assert sum(map(len, splits.values())) == 60


BAD_LABELS: dict[str, tuple[Any, str]] = {
    "a text": ("a", r"holds no list of labels, but str, in row 61\. .*set task.label_delimiter"),
    "a number": (3, "holds no list of labels, but int, in row 61"),
    "a list in a list": ([["a"]], "holds a value of type list in row 61"),
    "nothing in a list": (["a", None], "is empty in row 61"),
    "twice": (["a", "a"], r"has a label twice in row 61\. Write each once\.$"),
    "0 and 1": ([0, 1, 0], r"twice in row 61\. .* If these are 0 and 1 for each class, give an array"),
    "nothing": (None, r"is empty in row 61\. .*data.incomplete to drop"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_what_is_no_list_of_labels_is_refused_by_row(case: str, tmp_path: Path) -> None:
    label, message = BAD_LABELS[case]
    path = write_lines(tmp_path / "t.jsonl", *rows(), {"text": "bad", "label": label})
    with pytest.raises(InputError, match=message):
        load(path)


def test_columns_tell_what_stands_between_them(tmp_path: Path) -> None:
    path = tmp_path / "k.csv"
    lines = [f"text {i};{i % 2};{int(i % 3 > 0)}" for i in range(40)]
    path.write_text("\n".join(["text;a;b, or more", *lines]), encoding="utf-8")
    splits = load(path, label_columns=("a", "b, or more"))
    assert splits["train"].features["label"].feature.names == ["a", "b, or more"]


def test_columns_hold_nothing_but_yes_and_no(tmp_path: Path) -> None:
    path = tmp_path / "k.csv"
    lines = [f"text {i},{i % 2},{'true' if i % 3 else 'False'}" for i in range(40)]
    path.write_text("\n".join(["text,a,b", *lines, "odd,2,1", "odder,1,maybe"]), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        load(path, label_columns=("a", "b"))
    assert "label column 'a' of train holds something else than 0 and 1 in row 41" in str(refused.value)
    assert "label column 'b' of train holds something else than 0 and 1 in row 42" in str(refused.value)


def test_lists_of_labels_are_asked_about_where_a_row_has_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one label a row, .* set task.multi_label to true"):
        load_splits(get_task("custom"), DataConfig(train=as_json(tmp_path)), 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_delimiter": ";"}, "label_delimiter is set, but multi_label is false"),
        ({"label_columns": ("a", "b")}, "label_columns is set, but multi_label is false"),
        (
            {"multi_label": True, "label_columns": ("a", "b"), "label_delimiter": ";"},
            "label_columns and label_delimiter are both set",
        ),
        ({"multi_label": True, "label_columns": ("a",)}, "label_columns must name two columns or more"),
        (
            {"multi_label": True, "label_columns": ("a", "b"), "labels": ("x", "y", "z")},
            "labels has 3 names, but label_columns has 2 columns",
        ),
    ],
)
def test_ways_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Task(name="custom", **changes)


def many(number: int = 400) -> list[tuple[int, ...]]:
    """Sets of four classes, of which the last is rare, and none."""
    generator = np.random.default_rng(0)
    chances = np.array([0.5, 0.3, 0.1, 0.02])
    return [tuple(np.flatnonzero(generator.random(4) < chances).tolist()) for _ in range(number)]


def counts(sets: list[tuple[int, ...]]) -> Counter[int]:
    return Counter(index for each in sets for index in each)


@pytest.mark.parametrize("total", [40, 100, 200, 300])
def test_a_stratified_sample_has_its_share_of_every_class(total: int) -> None:
    sets = many()
    sample = stratified(sets, total, np.random.default_rng(1))
    assert len(sample) == len(set(sample)) == total
    share, found = total / len(sets), counts([sets[row] for row in sample])
    for index, count in counts(sets).items():
        assert abs(found[index] - share * count) <= 1.5
    empty = sum(not each for each in sets)
    assert abs(sum(not sets[row] for row in sample) - share * empty) <= 4


@pytest.mark.parametrize("total", [8, 20, 60])
def test_a_sample_has_a_row_of_each_class_however_rare(total: int) -> None:
    sets = [*many(), (0, 4), (5,), (1, 6), (1, 7, 6)]
    for seed in range(5):
        sample = stratified(sets, total, np.random.default_rng(seed))
        assert sample == sorted(set(sample))
        assert len(sample) == total
        assert counts([sets[row] for row in sample]).keys() == set(range(8))
        assert sample == stratified(sets, total, np.random.default_rng(seed))


def test_a_sample_of_fewer_rows_than_classes_lacks_some() -> None:
    assert len(stratified([(0,), (1,), (2,), (3,)], 2, np.random.default_rng(0))) == 2


def test_a_sample_that_has_each_class_stays_as_it_is_dealt() -> None:
    # as drawn before rare classes were looked after
    sets = [labels for labels in many(60) if 3 not in labels]
    assert stratified(sets, 12, np.random.default_rng(3)) == [0, 6, 7, 14, 21, 24, 26, 27, 44, 50, 52, 53]


def test_a_class_of_one_row_is_trained_on(tmp_path: Path) -> None:
    given = [{"text": f"text {row}", "label": ["ab"[row % 2]]} for row in range(300)]
    given[5]["label"] = ["a", "rare"]
    path = write_lines(tmp_path / "t.jsonl", *given)
    task = get_task("custom", multi_label=True)
    for seed in range(3):
        train = load_splits(task, DataConfig(train=path, train_size=60), seed)["train"]
        assert len(train) == 60
        assert [0, 2] in train["label"][:]


def test_a_class_of_one_row_keeps_it() -> None:
    sets = [*many(50), (4,)]
    for total in (5, 25, 45):
        assert 50 not in stratified(sets, total, np.random.default_rng(total), keep=1)


def test_the_generator_alone_decides() -> None:
    first, same, other = (stratified(many(), 80, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first == same != other


def test_few_shot_rows_give_each_class_its_shots_and_few_more() -> None:
    sets = many()
    chosen = per_class(sets, 8, np.random.default_rng(0))
    found = counts([sets[row] for row in chosen])
    assert all(found[index] >= min(8, count) for index, count in counts(sets).items())
    assert len(chosen) <= 4 * 8


def test_shots_that_are_not_there_are_refused(tmp_path: Path) -> None:
    path = as_json(tmp_path)
    task = get_task("custom", multi_label=True)
    splits = load_splits(task, DataConfig(train=path, shots_per_class=4), 0)
    found = counts([tuple(labels) for labels in splits["train"]["label"]])
    assert min(found.values()) >= 4
    with pytest.raises(InputError, match="shots_per_class is 40, but class 'c' has only"):
        load_splits(task, DataConfig(train=path, shots_per_class=40), 0)


def test_a_delimited_cell_of_nothing_is_a_row_without_a_label(tmp_path: Path) -> None:
    splits = load(as_cells(tmp_path), label_delimiter="|")
    assert splits.left_out == {}
    assert any(not labels for labels in splits["train"]["label"])


def test_zeros_and_ones_as_lists_are_no_labels(tmp_path: Path) -> None:
    rows = [{"text": f"text {row}", "label": [row % 2, 1 - row % 2]} for row in range(8)]
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(
        InputError, match=r"Every training row has all of its classes \(0, 1\), .*inverse_transform"
    ):
        load(path)


def test_numbers_of_no_class_get_no_name() -> None:
    # -1 is what unlabelled rows of many data sets have
    assert with_names([0, -1, 2, np.int64(1)], ("a", "b")) == ["a", -1, 2, "b"]
