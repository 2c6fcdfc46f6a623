"""What a file of keys is the config of, as its keys tell, and the command that reads such a file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from spt.errors import InputError
from spt.process.provenance import PROVENANCE

Kind = Literal["run", "study", "comparison", "bench"]

COMMANDS: Mapping[Kind, str] = {
    "run": "spt run",
    "study": "spt tune",
    "comparison": "spt compare",
    "bench": "python -m benchmarks methods",
}
# of an nnictl file, and of no other
COMPARISON_KEYS = {"trialCommand", "experimentName", "trialCodeDirectory", "trialConcurrency"}
# of a run, and not of a study
RUN_KEYS = {"task", "data", "backbone", "head", "prompt", "search", "training", "answers"}
SPACE_KEYS = {"searchSpace", "search_space"}
# of a study, and not of a run
STUDY_KEYS = {"trials", "sampler", "objectives", "asha", "resources", "run", *SPACE_KEYS}


def config_kind(tree: Mapping[str, Any]) -> Kind | None:
    """Say what a file's nested keys are the config of; None where they do not tell."""
    keys = tree.keys()
    if keys & COMPARISON_KEYS:
        return "comparison"
    if {"methods", "conditions"} <= keys:
        return "bench"
    if keys & SPACE_KEYS and not keys & RUN_KEYS:
        return "study"
    # a run's folder has its keys under one, beside what they were read with
    is_stored = "run" in keys and bool(keys & set(PROVENANCE))
    return "run" if is_stored or (keys & RUN_KEYS and not keys & STUDY_KEYS) else None


def refuse_other_kind(tree: Mapping[str, Any], path: Path, *wanted: Kind) -> None:
    """Refuse a file whose keys tell that it is for another command.

    Args:
        tree: nested keys of the file.
        path: of it.
        wanted: what it may be the config of.

    Raises:
        InputError: naming that command.
    """
    kind = config_kind(tree)
    if kind is not None and kind not in wanted:
        command = f"{COMMANDS[kind]} {shlex.quote(str(path))}"
        raise InputError(
            f"'{path}' is the config of a {kind}, but must be that of a {' or a '.join(wanted)}. Use "
            f"`{command}`, or give another file."
        )
