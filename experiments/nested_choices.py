"""Parameters as NNI has them: a choice may bring keys of its own, nested in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Parameters = dict[str, Any]


def flat(parameters: Mapping[str, Any]) -> Parameters:
    """Turn NNI's nested choices, {'task': {'_name': 'sst2', 'data.train': ...}}, into keys of one level."""
    dotted: Parameters = {}
    for key, value in parameters.items():
        if has_name(value):
            dotted[key] = value["_name"]
            dotted |= flat(without(value, ["_name"]))
        else:
            dotted[key] = value
    return dotted


def has_name(choice: Any) -> bool:
    """Tell a choice that nests others, {_name: sst2, data.train: ...}, from a plain value."""
    return isinstance(choice, Mapping) and "_name" in choice


def without(row: Mapping[str, Any], keys: Iterable[str]) -> Parameters:
    """Return what a row has under other keys."""
    return {key: value for key, value in row.items() if key not in keys}
