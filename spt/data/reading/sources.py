"""Where a task's rows come from: files, a folder, an embedded data set or the hub -> a raw table a split."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from datasets import Dataset, DatasetDict, load_dataset, load_from_disk

from spt.assets import DATA_SETS, fetch
from spt.data.config import ENDINGS, DataConfig
from spt.data.reading.files import read_file
from spt.data.reading.raw_table import UNREADABLE, RawTable
from spt.data.reading.source_files import SAVED_DATA_SET, SPLIT_NAMES, folder_files, given_files
from spt.errors import InputError, foreign_files, machine_fault, unknown
from spt.problems import Problems
from spt.storage.files import expanded
from spt.tasks import HubData, Task

# before this row the file repeats the training questions in other orders and selections
TREC_FIRST_ROW = 10_000


def read_tables(task: Task, data: DataConfig, problems: Problems | None = None) -> dict[str, RawTable]:
    """Read the tables of a task, under 'train' and, where the source has them, 'dev' and 'test'.

    Args:
        task: names its columns and its own source.
        data: the source.
        problems: get what is wrong with each file, which is left out then; None to refuse it here.

    Raises:
        InputError: there is no source, or it is missing or cannot be read.
    """
    noted = problems or Problems("the data")
    tables = _read_source(task, data, noted)
    if problems is None:
        noted.refuse()
    return tables


def _read_source(task: Task, data: DataConfig, problems: Problems) -> dict[str, RawTable]:
    if data.train is not None:
        return _read_files(given_files(data), data, task, problems)
    source = data.source or task.source
    if source is None and task.hub is not None:
        return _read_hub(task.hub)
    if source is None:
        raise InputError(
            f"Task '{task.name}' has no data set of its own. Set data.train to a file, or data.source to an "
            f"embedded data set ({', '.join(DATA_SETS)}), a folder or a hub name."
        )
    if source in DATA_SETS:
        return {"train": _read_embedded(source)}
    folder = expanded(source)
    if folder.is_dir():
        return _read_folder(folder, data, task, problems)
    if folder.exists() or source.startswith((".", "/", "~")):
        state = "is a file; set data.train to it" if folder.exists() else "does not exist"
        raise InputError(
            f"data.source '{source}' {state}. A source is a folder, an embedded or a hub data set."
        )
    known = task.hub is not None and task.hub.name == source
    return _read_hub(task.hub if known and task.hub else HubData(name=source), detect=not known)


def hub_data_set(task: Task, data: DataConfig) -> str | None:
    """Return the hub's name of the data set that `read_tables` reads; None for data of elsewhere."""
    if data.train is not None:
        return None
    source = data.source or task.source
    if source is None:
        return task.hub.name if task.hub else None
    return None if source in DATA_SETS or expanded(source).exists() else source


def _read_embedded(name: str) -> RawTable:
    if name == "trec":
        lines = (
            (fetch(name) / "question_labels.txt").read_text(encoding="utf-8").splitlines()[TREC_FIRST_ROW:]
        )
        tags, texts = zip(*(line.split(" ", 1) for line in lines), strict=True)
        return RawTable({"label": [tag.split(":")[0] for tag in tags], "text": texts})
    return _read_messages(fetch(name) / "sms-spam.csv")


def _read_messages(path: Path) -> RawTable:
    """Read the spam data, whose file was made with quotes that were left open in its source.

    Eight texts hold 737 further rows as that source had them: a label, a tab and a text a line.
    """
    names = {"0": "ham", "1": "spam"}
    rows: list[tuple[str, str]] = []
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            text, *swallowed = row["text"].split("\n")
            rows.append((names[row["spam"]], text))
            rows += [(label, rest) for label, _, rest in (line.partition("\t") for line in swallowed)]
    labels, texts = zip(*rows, strict=True)
    return RawTable({"label": labels, "text": texts})


def _read_files(
    files: Mapping[str, Path], data: DataConfig, task: Task, problems: Problems
) -> dict[str, RawTable]:
    """Read the files that can be read, and note the others."""
    tables = {}
    for split, path in files.items():
        with problems.collecting():
            tables[split] = replace(read_file(path, data, task), source=str(path))
    return tables


def _read_folder(folder: Path, data: DataConfig, task: Task, problems: Problems) -> dict[str, RawTable]:
    if (folder / SAVED_DATA_SET).is_file():
        return _read_saved(folder, task)
    files = folder_files(folder)
    if "train" not in files:
        raise InputError(
            f"{folder} has no training file. Put train.csv there (endings: {', '.join(ENDINGS)}), or "
            "name the file in data.train."
        )
    return _read_files(files, data, task, problems)


def _read_saved(folder: Path, task: Task) -> dict[str, RawTable]:
    """Read the data set that `datasets` saved to a folder; its rows are read when they are used."""
    if "::" in str(folder):
        # which would be read as a chain: from the folder whose name ends there
        raise InputError(
            f"data.source '{folder}' holds a data set that `datasets` saved, which it cannot read from a "
            "path with '::'. Rename the folder."
        )
    with foreign_files(
        f"data.source '{folder}' holds a data set that `datasets` saved, which cannot be read",
        "Where a part is missing or damaged, copy the whole folder again from where it was saved, or save it "
        "again.",
    ):
        saved = load_from_disk(str(folder))
        splits = _pick(saved, _detect(saved), str(folder))
        for rows in splits.values():
            columns = [name for name in task.columns if name in rows.column_names]
            # what is damaged in a column would only be noticed where it is used
            rows.data.table.select(columns).validate(full=True)
    return {split: RawTable.of(rows) for split, rows in splits.items()}


def _read_hub(hub: HubData, detect: bool = False) -> dict[str, RawTable]:
    try:
        splits = load_dataset(hub.name, hub.config)
    except UNREADABLE as error:
        if (fault := machine_fault(error)) is not None:
            raise fault from error
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"Cannot load the hub data set '{hub.name}' (configuration {hub.config}): {reason[0]} "
            "Check the name and the network, or give local files in data.train, data.dev and data.test."
        ) from error
    wanted = _detect(splits) if detect else {"train": hub.train, "dev": hub.dev, "test": hub.test}
    tables = _pick(splits, wanted, f"the hub data set '{hub.name}'")
    return {split: RawTable.of(_rename(table, hub.columns)) for split, table in tables.items()}


def _detect(splits: DatasetDict) -> dict[str, str | None]:
    return {
        split: next((name for name in names if name in splits), None) for split, names in SPLIT_NAMES.items()
    }


def _pick(splits: DatasetDict, wanted: dict[str, str | None], where: str) -> dict[str, Dataset]:
    if wanted["train"] is None:
        raise InputError(f"{where} has no split 'train', but {', '.join(splits)}. Set task.hub.train to one.")
    for name in wanted.values():
        if name is not None and name not in splits:
            raise unknown("split", name, splits, f"These are the splits of {where}; set task.hub.")
    return {split: splits[name] for split, name in wanted.items() if name is not None}


def _rename(table: Dataset, columns: dict[str, str]) -> Dataset:
    columns = {old: new for old, new in columns.items() if old in table.column_names}
    in_the_way = [new for new in columns.values() if new in table.column_names]
    return table.remove_columns(in_the_way).rename_columns(columns)
