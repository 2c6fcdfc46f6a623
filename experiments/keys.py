"""Keys of any configuration: YAML, dotted overrides, all errors at once, and the schema as commented YAML."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from spt.errors import InputError
from spt.tasks import TASKS, Task


def _sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    yield prefix, model
    for name, field in model.model_fields.items():
        for option in (field.annotation, *get_args(field.annotation)):
            if isinstance(option, type) and issubclass(option, BaseModel):
                yield from _sections(option, f"{prefix}{name}.")


def explain(error: dict[str, Any], model: type[BaseModel]) -> str:
    """One pydantic error of a config as a line: the key, what is wrong, the value."""
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        prefix = path.rpartition(".")[0]
        section = dict(_sections(model)).get(f"{prefix}." if prefix else "")
        names = list(section.model_fields) if section else []
        close = get_close_matches(path.rpartition(".")[2], names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else f" Known: {', '.join(names)}."
        return f"{path}: there is no such key.{hint}"
    given = "" if isinstance(error["input"], dict | BaseModel) else f" (given: {error['input']!r})"
    return f"{path or 'config'}: {error['msg'].removeprefix('Value error, ')}{given}"


def assign(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a dotted key of nested keys.

    Raises:
        InputError: if the key goes into something that is not a section.
    """
    *parents, last = dotted.split(".")
    for parent in parents:
        if isinstance(tree.get(parent), str) and parent == "task":
            tree[parent] = {"name": tree[parent]}
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise InputError(f"The override '{dotted}' goes into '{parent}', which is not a section.")
    tree[last] = value


def parse_overrides(pairs: list[str]) -> dict[str, Any]:
    """`['search.layers=4']` -> `{'search.layers': 4}`; values are read as YAML.

    Raises:
        InputError: for a part without an equals sign, or with a value that is not YAML.
    """
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise InputError(f"An override must read key=value, but got {', '.join(map(repr, wrong))}.")
    split = (pair.split("=", 1) for pair in pairs)
    return {key: _value(key, text) for key, text in split}


def as_arguments(overrides: Mapping[str, Any]) -> str:
    """`{'search.layers': 4}` -> `' search.layers=4'`, as a shell hands it to `parse_overrides`."""
    # JSON's 1e-05 would be text to YAML; in ASCII, because YAML reads some other characters as line breaks
    pairs = (f"{key}={_inline(value, allow_unicode=False)}" for key, value in overrides.items())
    return "".join(f" {shlex.quote(pair)}" for pair in pairs)


def _value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"The value of '{key}' is not YAML: {text}. Put quotes around it.") from error


def read_tree(path: Path | None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The nested keys of a YAML file (none, for None) with overrides over them, unchecked.

    Raises:
        InputError: if the file cannot be read, or is not a mapping.
    """
    tree: Any = {}
    if path is not None:
        try:
            tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"The config '{path}' cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise InputError(f"The config '{path}' must be a mapping of keys to values, as `spt config` shows.")
    for dotted, value in (overrides or {}).items():
        assign(tree, dotted, value)
    return tree


def bad_config(error: ValidationError, source: str, model: type[BaseModel]) -> InputError:
    """Every problem of a config in one error."""
    lines = "\n".join(f"  {explain(dict(e), model)}" for e in error.errors())
    return InputError(f"{error.error_count()} problem(s) in {source}:\n{lines}")


def schema_lines(model: type[BaseModel], indent: str = "") -> Iterator[str]:
    """The schema as commented YAML: every key with its default and what it does."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation is not Task:
            yield f"{indent}{name}:"
            yield from schema_lines(annotation, indent + "  ")
            continue
        default = field.get_default(call_default_factory=True)
        shown = default.name if isinstance(default, Task) else _inline(default)
        yield f"{indent}{name}: {shown}  # {field.description} {_type_name(annotation)}".rstrip()
        if isinstance(default, Task):
            yield from _task_lines(default)


def _task_lines(task: Task) -> Iterator[str]:
    """The fields of a task, commented out."""
    yield f"# tasks: {', '.join(TASKS)}; with fields changed:"
    yield "# task:"
    for name, value in task.model_dump(mode="json").items():
        yield f"#   {name}: {_inline(value)}  # {Task.model_fields[name].description}"


def _inline(value: Any, allow_unicode: bool = True) -> str:
    """A value as YAML on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(
        plain, default_flow_style=True, width=float("inf"), allow_unicode=allow_unicode
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _type_name(annotation: Any) -> str:
    options = get_args(annotation)
    if options and all(isinstance(option, str) for option in options):
        return f"[{' | '.join(options)}]"
    if NoneType in options:
        return "[may be null]"
    return ""
