"""A wrong config without its keys at fault, so that what else is wrong with it and its data is said too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from experiments.config import RunConfig
from experiments.keys import explain, keys_of
from spt.sections import problems_of

# what rules across sections may be about, and are left out until none is broken
ACROSS = ("data.windows", "data.folds", "answers", "prompt", "head", "training", "search")
# keys of the data without which the same rows are read
NOT_OF_FILES = ("max_length", "windows", "folds", "dev_size", "test_size", "train_size")


@dataclass(frozen=True)
class RightPart:
    """What is left of a wrong config.

    Attributes:
        config: with the defaults in the places of what was left out.
        problems: with rules across sections, which only show without the keys at fault.
        faulty: keys that were at fault, each as a path.
    """

    config: RunConfig
    problems: tuple[str, ...]
    faulty: tuple[tuple[str, ...], ...]

    @property
    def reads_its_data(self) -> bool:
        """Say whether the rows are those that the config means."""
        return not any(_says_what_is_read(path) for path in self.faulty)

    @property
    def has_its_backbone(self) -> bool:
        """Say whether the backbone and the search over its layers are those that the config means."""
        return not {"backbone", "search"} & {section for section, *_ in self.faulty}


def right_part(tree: Mapping[str, Any]) -> RightPart | None:
    """Leave out of nested keys what is at fault; None where nothing can be made of the rest."""
    rest: dict[str, Any] = deepcopy(dict(tree))
    faulty: list[tuple[str, ...]] = []
    while errors := list(_errors(rest)):
        taken = [tuple(keys) for keys in (keys_of(error, RunConfig) for error in errors) if _take(rest, keys)]
        if not taken:
            break
        faulty += taken
    named = {section for section, *_ in faulty}
    broken = [explain(error, RunConfig) for error in _errors(rest)]
    problems = tuple(line for line in broken if not any(section in line for section in named))
    spare = iter(ACROSS)
    while next(_errors(rest), None) is not None:
        if (dotted := next(spare, None)) is None:
            return None
        _take(rest, dotted.split("."))
    return RightPart(RunConfig.model_validate(rest), problems, tuple(faulty))


def _errors(tree: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        RunConfig.model_validate(tree)
    except ValidationError as error:
        yield from problems_of(error)


def _take(tree: dict[str, Any], keys: Sequence[str]) -> bool:
    """Take what a path leads to, or the value that it goes into, out of nested keys; False without one."""
    if not keys or keys[0] not in tree:
        return False
    first, *rest = keys
    if rest and isinstance(tree[first], dict):
        return _take(tree[first], rest)
    del tree[first]
    return True


def _says_what_is_read(path: Sequence[str]) -> bool:
    section, *rest = path
    if section == "data":
        return not rest or rest[0] not in NOT_OF_FILES
    meant = get_close_matches(section, RunConfig.model_fields, n=1)
    return meant in (["task"], ["data"])
