"""Which local files the rows of a task come from, without reading them."""

from pathlib import Path

from spt.assets import DATA_SETS
from spt.data.config import ENDINGS, DataConfig
from spt.errors import InputError
from spt.storage.files import expanded
from spt.tasks import Task

SPLIT_NAMES = {
    "train": ("train", "training"),
    "dev": ("dev", "validation", "valid", "val"),
    "test": ("test",),
}
SAVED_DATA_SET = "dataset_dict.json"


def source_files(task: Task, data: DataConfig, seed: int) -> dict[str, Path]:
    """Find the file of each split that has one, or all files of what `datasets` saved to disk.

    Args:
        task: whose own source is taken where data names none.
        data: the source.
        seed: stands for `{seed}` in the source.

    Returns:
        Paths by split, those of a saved data set by their names in it; none for embedded and hub data.

    Raises:
        InputError: if a folder has several files for a split.
    """
    if data.train is not None:
        return given_files(data)
    source = data.with_seed(seed).source or task.source
    if source is None or source in DATA_SETS:
        return {}
    folder = expanded(source)
    if not folder.is_dir():
        return {}
    if (folder / SAVED_DATA_SET).is_file():
        return {
            path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
        }
    return folder_files(folder)


def given_files(data: DataConfig) -> dict[str, Path]:
    """Return the files that the options name, by split."""
    files = {"train": data.train, "dev": data.dev, "test": data.test}
    return {split: expanded(path) for split, path in files.items() if path is not None}


def folder_files(folder: Path) -> dict[str, Path]:
    """Find the file of each split in a folder.

    Raises:
        InputError: if there are several for a split.
    """
    files = {split: _find(folder, split) for split in SPLIT_NAMES}
    # few-shot splits of several seeds lie in a folder each, with one test split beside them
    if files["dev"] and not files["test"]:
        files["test"] = _find(folder.parent, "test")
    return {split: path for split, path in files.items() if path is not None}


def _find(folder: Path, split: str) -> Path | None:
    """Find the file of a split in a folder."""
    names = SPLIT_NAMES[split]
    files = sorted(file for name in names for ending in ENDINGS for file in folder.glob(name + ending))
    if len(files) > 1:
        raise InputError(
            f"{folder} has several files for {split}: {', '.join(file.name for file in files)}. "
            "Keep one, or name the file in data.train, data.dev and data.test."
        )
    return files[0] if files else None
