"""Parts of a bench that a command line asks for by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from spt.errors import unknown

Part = TypeVar("Part")


def chosen(what: str, names: Iterable[str], known: Mapping[str, Part]) -> dict[str, Part]:
    """Return the parts of these names; all of them for none.

    Args:
        what: is named, for the error: "variant".
        names: in the order that is wanted.
        known: name -> part.

    Raises:
        InputError: for a name that none of the parts has.
    """
    for name in names:
        if name not in known:
            raise unknown(what, name, known)
    return {name: known[name] for name in names or known}
