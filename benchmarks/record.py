"""Results as JSON: what was measured, with what, on what kind of machine."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import CHECKOUT
from benchmarks.provenance import made_now
from experiments.comparing.statistics import spread
from experiments.keys import as_arguments
from spt.errors import InputError
from spt.process.provenance import PROVENANCE
from spt.storage.files import write_text
from spt.storage.json_files import read_json
from spt.workbench import SPLITS

RESULTS = CHECKOUT / "benchmarks" / "results"
ANEW = "Leave out --add to measure all anew, or choose another --result."
# keys whose values are written by the files' names alone
FILES = tuple(f"data.{split}" for split in SPLITS)


def made_with(command: str) -> dict[str, Any]:
    """Return a command, today's date, and the versions and machine kind of this process, as JSON has them."""
    return made_now(command).as_json()


def made_before(content: Mapping[str, Any], command: str) -> list[dict[str, Any]]:
    """List what a result was made with before a command that adds to it, the last first.

    Args:
        content: of the JSON; its `earlier` is what was listed when it was added to.
        command: that adds; what it made today, with the same versions and machine, is not listed.
    """
    now = made_with(command)
    return [each for each in made_of(content) if each != now]


def made_of(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List what a result and those before it were made with, the last first."""
    last = {key: content[key] for key in PROVENANCE if key in content}
    return [last, *content.get("earlier", [])]


def load_to_add(name: str, bench: str, parts: Collection[str]) -> dict[str, Any] | None:
    """Read a result to which a command adds; None where there is no such file.

    Args:
        name: of the JSON.
        bench: as the command line has it.
        parts: keys of its JSON, beside the records and what they were made with.

    Raises:
        InputError: for the result of another bench.
    """
    if not path_of(name).exists():
        return None
    content = load(name)
    if not {*parts, "records", *PROVENANCE} <= content.keys():
        raise InputError(f"'{path_of(name)}' is no result of `python -m benchmarks {bench}`. {ANEW}")
    return content


def refuse_changed(name: str, records: str, changed: Sequence[str]) -> None:
    """Refuse to add to a result what cannot be compared with it.

    Args:
        name: of the JSON.
        records: what it has, for the error: "trainings".
        changed: what those were made by, and is another now.

    Raises:
        InputError: if there is any.
    """
    if changed:
        what = f"'{path_of(name)}' has {records} by what is another now: {', '.join(changed)}."
        raise InputError(f"{what} {ANEW}")


def command_of(bench: str, *arguments: object, result: str | None = None) -> str:
    """Return the shell command of a bench, which names the checkout's own files from its root.

    Args:
        bench: as the command line has it.
        arguments: words behind it.
        result: name of the JSON; not noted where it is the bench's own, which is named as the bench is.
    """
    named = [] if result in (None, bench.replace("-", "_")) else ["--result", result]
    words = [
        argument.relative_to(CHECKOUT)
        if isinstance(argument, Path) and argument.is_relative_to(CHECKOUT)
        else argument
        for argument in (*arguments, *named)
    ]
    return shlex.join(["python", "-m", "benchmarks", bench, *map(str, words)])


def arguments_of(overrides: Mapping[str, Any]) -> str:
    """Write dotted keys as arguments of a command, data files by their names alone.

    A key may begin with the name of a task or a condition.
    """
    files = {key: Path(value).name for key, value in overrides.items() if key.endswith(FILES)}
    return as_arguments({**overrides, **files})


def write_result(
    name: str,
    command: str,
    records: Sequence[dict[str, Any]],
    earlier: Sequence[dict[str, Any]] = (),
    **summary: Any,
) -> Path:
    """Write benchmarks/results/<name>.json with the command that made it, versions and machine kind.

    Args:
        name: of the JSON.
        command: that made it.
        records: of what was measured.
        earlier: what records of other commands were made with.
        summary: of all records.
    """
    before = {"earlier": list(earlier)} if earlier else {}
    return save(name, {**made_with(command), **before, **summary, "records": list(records)})


def save(name: str, content: Mapping[str, Any]) -> Path:
    """Write benchmarks/results/<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    path = path_of(name)
    write_text(path, json.dumps(content, indent=1) + "\n")
    return path


def load(name: str) -> dict[str, Any]:
    """Read benchmarks/results/<name>.json."""
    return read_json(path_of(name), "Take it from the repository again, or measure it again.")


def path_of(name: str) -> Path:
    """Return the path of benchmarks/results/<name>.json."""
    return RESULTS / f"{name}.json"


def mean_and_spread(values: Sequence[float]) -> dict[str, float]:
    """Return mean and sample standard deviation; the latter is 0 for a single value."""
    measured = spread(values)
    return {"mean": measured.mean, "sd": measured.sd or 0.0, "n": measured.n}
