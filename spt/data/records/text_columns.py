"""Which columns of records without labels hold the texts of a task."""

from __future__ import annotations

from collections.abc import Collection

from spt.errors import InputError
from spt.tasks import Task

# what columns may be called whatever the task calls its own
GENERAL = ("text", "text_pair")
# records of JSON among which one has the texts, as each has keys of its own
HEAD = 1024
SHOWN_NAMES = 20
LONGEST_NAME = 40


def possible_columns(task: Task) -> tuple[tuple[str, ...], ...]:
    """Return what the columns of a row's texts may be called, the task's own names first."""
    own = task.text_fields
    return own, GENERAL[: len(own)]


def has_texts(names: Collection[str], task: Task) -> bool:
    """Say whether columns of these names may hold a row's texts."""
    return any(set(columns) <= set(names) for columns in possible_columns(task))


def text_columns(names: Collection[str], task: Task, source: str) -> tuple[str, ...]:
    """Return the columns of a row's texts: those of the task, or else 'text' (and 'text_pair').

    Args:
        names: of the columns that there are.
        task: names its columns, and says whether a row has one text or two.
        source: begins the error, as "Line 1".

    Raises:
        InputError: naming the columns, if neither are there.
    """
    own, general = possible_columns(task)
    for columns in (own, general):
        if all(column in names for column in columns):
            return columns
    needed = " and ".join(map(repr, own))
    raise InputError(
        f"{source} has the columns {_shown(names)}, but the model's task '{task.name}' reads {needed}. "
        f"Name the columns of the texts so, or {' and '.join(map(repr, general))}."
    )


def _shown(names: Collection[str]) -> str:
    shown = [f"'{name[:LONGEST_NAME]}'" for name in list(names)[:SHOWN_NAMES]]
    return (", ".join(shown) or "(none)") + (" …" if len(names) > SHOWN_NAMES else "")
