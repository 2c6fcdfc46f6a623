"""Paths of commands that begin with `~`, which shells and scripts leave as it is in --folder=~/runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from experiments.console import exit_codes
from spt.storage.files import expanded


def with_home(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command, each of whose paths may begin with `~`, as those of a configuration may."""

    @wraps(command)
    def with_expanded_paths(**arguments: Any) -> None:
        with exit_codes("Stopped."):
            arguments = {name: _expanded(value) for name, value in arguments.items()}
        command(**arguments)

    return with_expanded_paths


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    return expanded(value) if isinstance(value, Path) and str(value).startswith("~") else value
