"""Where relative paths start: in a file from its folder, on the command line from the working directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search_spaces.named_layers import is_layers_file
from spt.assets import BACKBONES, DATA_SETS
from spt.errors import InputError
from spt.storage.files import expanded

FILES = ("data.train", "data.dev", "data.test")
LAYERS = "search.manual_layers"
# keys of a folder, or of a name: these names are never folders
NAMES = {"data.source": DATA_SETS, "task.source": DATA_SETS, "backbone.name": BACKBONES}
SEED = "{seed}"


def anchored(value: Any, folder: Path, key: str = "") -> Any:
    """Make the paths among a run's keys absolute.

    Args:
        value: nested or dotted keys, or the value of one key.
        folder: that relative paths start from: the file's, or the working directory.
        key: of the value, dotted; empty for keys of all of the run.

    Returns:
        The same keys; names of embedded or hub data and backbones stay as they are.

    Raises:
        InputError: if a path in a file exists from the working directory only.
    """
    if isinstance(value, Mapping):
        return {
            name: anchored(inner, folder, f"{key}.{name}" if key else name) for name, inner in value.items()
        }
    if not isinstance(value, str | os.PathLike) or not _is_path(os.fspath(value), folder, key):
        return value
    path, from_here = absolute(value, folder), absolute(value, Path.cwd())
    if not _exists(path) and _exists(from_here):
        raise InputError(
            f"{key} is '{value}', but a path in a file starts from the file's folder, where there is no "
            f"'{path}'. There is '{from_here}': write '{os.path.relpath(from_here, folder)}'."
        )
    return str(path)


def anchored_space(space: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths among the choices of a search space absolute, as `anchored` does."""
    return {key: _anchored_choices(spec, folder, key) for key, spec in space.items()}


def absolute(path: str | os.PathLike[str], folder: Path) -> Path:
    """Return a path, absolute; a link keeps its name, by whose ending a format is known."""
    joined = expanded(folder / expanded(path))
    return joined.parent.resolve() / joined.name


def is_moved(key: str, before: Any, now: Any) -> bool:
    """Say whether a run's data or backbone was moved: it has its name still, and nothing is where it was.

    Args:
        key: dotted, of a run.
        before: its value when the run began; an older version may have written a relative path.
        now: its value.
    """
    if key not in (*FILES, *NAMES, LAYERS) or not isinstance(before, str) or not isinstance(now, str):
        return False
    if absolute(before, Path.cwd()) == Path(now):
        return True
    old = Path(before)
    return key != LAYERS and old.is_absolute() and old.name == Path(now).name and not _exists(old)


def _anchored_choices(spec: Any, folder: Path, key: str) -> Any:
    if not isinstance(spec, Mapping) or not isinstance(spec.get("_value"), list):
        return spec
    return {**spec, "_value": [anchored(value, folder, key) for value in spec["_value"]]}


def _is_path(value: str, folder: Path, key: str) -> bool:
    if key in FILES:
        return True
    if key == LAYERS:
        return is_layers_file(value)
    if key not in NAMES or value in NAMES[key]:
        return False
    written_as_path = value.startswith((".", "/", "~")) or SEED in value
    return written_as_path or any(_exists(absolute(value, start)) for start in (folder, Path.cwd()))


def _exists(path: Path) -> bool:
    """Say whether there is such a path; with a seed in it, up to the folder with the seeds."""
    before, seed, _ = str(path).partition(SEED)
    return Path(before).parent.exists() if seed else path.exists()
