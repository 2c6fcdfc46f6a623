"""The schema of a configuration as commented YAML, which `spt config` prints."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from experiments.keys import inline, sections_by_tag
from spt.tasks import TASKS, Task
from strategies.options import OPTIONS, StrategyOptions, readers


def schema_lines(model: type[BaseModel], indent: str = "") -> Iterator[str]:
    """Yield the schema as commented YAML: every key with its default and what it does."""
    for name, field in model.model_fields.items():
        yield from _field_lines(name, field, indent)


def _field_lines(name: str, field: FieldInfo, indent: str) -> Iterator[str]:
    annotation = field.annotation
    if sections_by_tag(annotation):
        yield f"{indent}{name}:"
        yield from _strategy_lines(field.get_default(call_default_factory=True), indent + "  ")
        return
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation is not Task:
        yield f"{indent}{name}:"
        yield from schema_lines(annotation, indent + "  ")
        return
    default = field.get_default(call_default_factory=True, validated_data={})
    shown = default.name if isinstance(default, Task) else inline(default)
    yield f"{indent}{name}: {shown}  # {field.description} {_type_name(annotation)}".rstrip()
    if isinstance(default, Task):
        yield from _task_lines(default)


def _strategy_lines(chosen: StrategyOptions, indent: str) -> Iterator[str]:
    """Yield what a strategy reads, and commented out what others read, by the strategies that read it."""
    for fields, comment in ((type(chosen).model_fields, ""), (_other_fields(chosen), "# ")):
        for strategies, group in groupby(fields.items(), key=lambda item: readers(item[0])):
            if len(strategies) < len(OPTIONS):
                yield f"{indent}# read by {', '.join(strategies)}:"
            for name, field in group:
                yield from (f"{indent}{comment}{line}" for line in _strategy_field_lines(name, field))


def _strategy_field_lines(name: str, field: FieldInfo) -> Iterator[str]:
    if name == "strategy":
        yield f"strategy: {field.default}  # {field.description} [{' | '.join(OPTIONS)}]"
    else:
        yield from _field_lines(name, field, "")


def _other_fields(chosen: StrategyOptions) -> dict[str, FieldInfo]:
    """Return the options that only other strategies read."""
    every = {name: field for options in OPTIONS.values() for name, field in options.model_fields.items()}
    return {name: field for name, field in every.items() if name not in type(chosen).model_fields}


def _task_lines(task: Task) -> Iterator[str]:
    """Yield the fields of a task, commented out."""
    yield f"# tasks: {', '.join(TASKS)}; with fields changed:"
    yield "# task:"
    for name, value in task.model_dump(mode="json").items():
        yield f"#   {name}: {inline(value)}  # {Task.model_fields[name].description}"


def _type_name(annotation: Any) -> str:
    options = get_args(annotation)
    if options and all(isinstance(option, str) for option in options):
        return f"[{' | '.join(options)}]"
    if NoneType in options:
        return "[may be null]"
    return ""
