"""What the cells of a grid are called: what is compared, and what on, in the fewest words that differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.config import RunConfig
from experiments.nested_choices import Parameters, flat, has_name, without

SEED = "seed"
TASK = ("task", "task.name")
BACKBONE = ("backbone", "backbone.name")
# what a run is done on; every other key but the seed is what is compared
CONDITIONS = (*TASK, *BACKBONE)
Parts = tuple[str, ...]


def group_names(rows: Sequence[Parameters]) -> list[str]:
    """Name what is compared by each row: a value alone where one key varies, key=value where several do.

    Args:
        rows: NNI's parameters of each run, choices nested.

    Returns:
        A name a row, empty where nothing but seed and condition varies.
    """
    compared = [without(row, (*CONDITIONS, SEED)) for row in rows]
    keys = _short_keys(key for row in compared for key in _all_keys(row))
    short = [_group(row, keys, nested=False) for row in compared]
    full = [_group(row, keys, nested=True) for row in compared]
    return full if len(set(full)) > len(set(short)) else short


def condition_names(rows: Sequence[Parameters], configs: Sequence[RunConfig]) -> list[str]:
    """Name what each row is compared on: the task and, where several are compared, the backbone.

    Of tasks or backbones of the same name, the keys that they differ in are named too, and of backbones in
    different folders as much of the path as tells them apart.

    Args:
        rows: NNI's parameters of each run, choices nested.
        configs: of the same runs.
    """
    tasks = _told_apart([config.task.name for config in configs], [_chosen(row, TASK) for row in rows])
    folders = [Path(config.backbone.name).parts for config in configs]
    endings = _endings(set(folders))
    backbones = _told_apart(
        [str(Path(*endings[folder])) for folder in folders], [_chosen(row, BACKBONE) for row in rows]
    )
    if len(set(backbones)) == 1:
        return tasks
    return [f"{task} on {backbone}" for task, backbone in zip(tasks, backbones, strict=True)]


def _group(compared: Parameters, keys: Mapping[str, str], nested: bool) -> str:
    shown = {keys[key]: _shown(value, keys, nested) for key, value in compared.items()}
    if len(shown) == 1:
        return next(iter(shown.values()))
    return ", ".join(f"{key}={text}" for key, text in shown.items())


def _shown(value: Any, keys: Mapping[str, str], nested: bool) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value))
    if not isinstance(value, Mapping):
        return str(value)
    inner = flat(without(value, ["_name"]))
    parts = ", ".join(f"{keys[key]}={_shown(inside, keys, nested)}" for key, inside in inner.items())
    if not has_name(value):
        return parts
    return f"{value['_name']} ({parts})" if nested and parts else str(value["_name"])


def _chosen(row: Parameters, keys: Iterable[str]) -> Parameters:
    """Return what the choices of some keys bring beside a name."""
    chosen: Parameters = {}
    for choice in (row.get(key) for key in keys):
        if isinstance(choice, Mapping):
            chosen |= flat(without(choice, ["_name", "name"]))
    return chosen


def _told_apart(names: Sequence[str], choices: Sequence[Parameters]) -> list[str]:
    """Put behind each name what its choices differ in from others of that name."""
    of_name: dict[str, list[Parameters]] = {}
    for name, choice in zip(names, choices, strict=True):
        of_name.setdefault(name, []).append(choice)
    differing = {name: _differing(of_that_name) for name, of_that_name in of_name.items()}
    keys = _short_keys(key for choice in choices for key in _all_keys(choice))
    texts = []
    for name, choice in zip(names, choices, strict=True):
        shown = {key: _shown(value, keys, nested=True) for key, value in choice.items()}
        parts = ", ".join(f"{keys[key]}={text}" for key, text in shown.items() if key in differing[name])
        texts.append(f"{name} ({parts})" if parts else name)
    return texts


def _differing(choices: Sequence[Parameters]) -> set[str]:
    """Return the keys that some choices have and others have not, or with other values."""
    keys = {key for choice in choices for key in choice}
    # repr tells what JSON holds apart, lists and mappings too
    return {key for key in keys if len({repr((key in each, each.get(key))) for each in choices}) > 1}


def _all_keys(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of a row and of the choices in it."""
    for key, value in row.items():
        if key != "_name":
            yield key
        if isinstance(value, Mapping):
            yield from _all_keys(value)


def _short_keys(keys: Iterable[str]) -> dict[str, str]:
    """Return as much of the end of each dotted key as tells it from the others: 'k' of 'search.k'."""
    parts_of = {key: tuple(key.split(".")) for key in keys}
    endings = _endings(set(parts_of.values()))
    return {key: ".".join(endings[parts]) for key, parts in parts_of.items()}


def _endings(names: Collection[Parts]) -> dict[Parts, Parts]:
    """Return the fewest last parts of each name that no other one ends with; all where there are none."""
    return {name: _ending(name, [other for other in names if other != name]) for name in names}


def _ending(name: Parts, others: Sequence[Parts]) -> Parts:
    endings = (name[-count:] for count in range(1, len(name)))
    return next((end for end in endings if all(other[-len(end) :] != end for other in others)), name)
