"""Keys of any configuration: YAML, dotted overrides, and all errors at once."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, Tag, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from spt.errors import InputError
from spt.sections import problems_of
from spt.storage.yaml_files import SHOWN, parse_yaml, read_yaml
from strategies.options import OLD_NAMES, OPTIONS, StrategyOptions, for_another_strategy, readers


def explain(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Return one pydantic error of a config as a line: the key, what is wrong, the value."""
    keys, section = _located(error["loc"], model)
    path = ".".join(keys)
    if error["type"] == "extra_forbidden":
        return f"{path}: {_unread(keys[-1], section)}"
    given = "" if isinstance(error["input"], dict | BaseModel) else f" (given: {error['input']!r:.200})"
    advice = "; put it in quotes" if error["type"] == "string_type" else ""
    # a rule across sections names its keys itself
    where = f"{path}: " if path else ""
    return f"{where}{error['msg']}{given}{advice}"


def keys_of(error: Mapping[str, Any], model: type[BaseModel]) -> list[str]:
    """Return the keys that lead to one pydantic error of a config; none for a rule across sections."""
    return _located(error["loc"], model)[0]


def _located(parts: Iterable[Any], model: type[BaseModel]) -> tuple[list[str], type[BaseModel] | None]:
    """Return the keys of an error's place, without the tags of unions, and the section of the last one."""
    keys: list[str] = []
    section: type[BaseModel] | None = None
    reached: Any = model
    for part in parts:
        tagged = sections_by_tag(reached)
        if part in tagged:
            reached = tagged[part]
            continue
        keys.append(str(part))
        section = _section(reached)
        fields = section.model_fields if section else {}
        reached = fields[part].annotation if part in fields else next(iter(get_args(reached)[::-1]), None)
    return keys, section


def sections_by_tag(annotation: Any) -> dict[str, type[BaseModel]]:
    """Return tag -> section of a union whose options have tags."""
    options = [get_args(option) for option in get_args(annotation) if get_origin(option) is Annotated]
    return {mark.tag: section for section, *marks in options for mark in marks if isinstance(mark, Tag)}


def is_value(model: type[BaseModel], dotted: str, value: Any) -> bool:
    """Say whether a key of a config may have a value, whatever the other keys are.

    Args:
        model: of the config.
        dotted: the key; one that does not exist may have no value.
        value: as YAML has it.
    """
    fields = _fields(model, dotted.split("."))
    return any(_validates(field, value) for field in fields)


def _fields(section: Any, path: Sequence[str]) -> Iterator[FieldInfo]:
    """Yield what a path of keys leads to, in each of the sections where there are several."""
    name, *rest = path
    for each in sections_by_tag(section).values() or filter(None, [_section(section)]):
        field = each.model_fields.get(name)
        if field is not None and rest:
            yield from _fields(field.annotation, rest)
        elif field is not None:
            yield field


def _validates(field: FieldInfo, value: Any) -> bool:
    annotation: Any = field.annotation
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return True


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field is or may be; None for other fields, and for many sections."""
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else [annotation]
    sections = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
    return sections[0] if sections else None


def _unread(key: str, section: type[BaseModel] | None) -> str:
    """Say who reads a key that its section does not have, and which of the section's keys is like it."""
    known = [field.alias or name for name, field in section.model_fields.items()] if section else []
    strategies: list[str] = []
    likely = {name: name for name in known}
    if section and issubclass(section, StrategyOptions):
        strategies = readers(key)
        # a misspelt old name; what other strategies read is not misspelt
        likely |= {old: new for old, new in OLD_NAMES.items() if new in known and not strategies}
    close = get_close_matches(key, likely, n=1)
    hint = f"Did you mean '{likely[close[0]]}'?" if close else f"Known: {', '.join(known)}."
    if section is None or not strategies:
        return f"there is no such key. {hint}"
    chosen = section.model_fields["strategy"].default
    others = f"{', '.join(strategies)} {'do' if len(strategies) > 1 else 'does'}"
    return f"the strategy {chosen} does not read it, {others}. Remove it, or change search.strategy. {hint}"


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested keys by dotted ones."""
    values: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            values |= leaves(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


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


def override(tree: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Put the dotted keys of one place over nested keys, those of the places below it.

    A place that names the strategy speaks for all that lies below it: options there that are for other
    strategies are dropped. Options that stand beside or over the strategy's name stay, whoever reads them,
    and are refused when the tree is checked.

    Raises:
        InputError: if a key goes into something that is not a section, or is given under an old name too.
    """
    given = {_current(dotted): value for dotted, value in overrides.items()}
    if len(given) < len(overrides):
        renamed = [dotted for dotted in overrides if _current(dotted) != dotted]
        raise InputError(f"Another key is the current name of {', '.join(renamed)}. Give one of them only.")
    for dotted, value in given.items():
        _clear(_below(tree, dotted), dotted.rpartition(".")[2], value)
    for dotted, value in given.items():
        assign(tree, dotted, value)


def search_option(dotted: str) -> str | None:
    """Return the option of a search that a dotted key is or goes into; None for any other key."""
    parts = dotted.split(".")
    return parts[parts.index("search") + 1] if "search" in parts[:-1] else None


def for_strategy(overrides: Mapping[str, Any], strategy: str) -> dict[str, Any]:
    """Return dotted keys meant for many runs without the options that one run's strategy does not read."""

    def meant(dotted: str) -> bool:
        option = search_option(dotted)
        return option is None or not for_another_strategy(option, strategy)

    return {dotted: value for dotted, value in overrides.items() if meant(dotted)}


def _current(dotted: str) -> str:
    """Return a dotted key with the current name of the option."""
    option = search_option(dotted)
    return dotted.removesuffix(option) + OLD_NAMES[option] if option in OLD_NAMES else dotted


def _below(tree: Mapping[str, Any], dotted: str) -> dict[str, Any]:
    """Return the search section of a tree that a dotted key goes into; an empty one for any other key."""
    *sections, option = dotted.split(".")
    reached: Any = tree
    for name in sections:
        reached = reached.get(name) if isinstance(reached, Mapping) else None
    return reached if isinstance(reached, dict) and search_option(dotted) == option else {}


def _clear(section: dict[str, Any], option: str, value: Any) -> None:
    """Take from a search section what an option over it replaces: its old name, or others' options."""
    names_strategy = option == "strategy" and isinstance(value, str) and value in OPTIONS
    for name in list(section):
        if OLD_NAMES.get(name) == option or (names_strategy and for_another_strategy(name, value)):
            del section[name]


def parse_overrides(pairs: list[str]) -> dict[str, Any]:
    """Read arguments as dotted keys, values as YAML: `['search.k=4']` -> `{'search.k': 4}`.

    Raises:
        InputError: for a part without an equals sign, or with a value that is not YAML or is refused there.
    """
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise InputError(f"An override must read key=value, but got {', '.join(map(repr, wrong))}.")
    split = (pair.split("=", 1) for pair in pairs)
    return {key: _value(key, text) for key, text in split}


def as_arguments(overrides: Mapping[str, Any]) -> str:
    """Write dotted keys as a shell hands them to `parse_overrides`: `{'search.k': 4}` -> `' search.k=4'`."""
    # JSON's 1e-05 would be text to YAML; in ASCII, because YAML reads some other characters as line breaks
    pairs = (f"{key}={inline(value, allow_unicode=False)}" for key, value in overrides.items())
    return "".join(f" {shlex.quote(pair)}" for pair in pairs)


def _value(key: str, text: str) -> Any:
    try:
        return parse_yaml(text)
    except InputError as error:
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
        reason = " ".join(str(error).split())
        if not isinstance(error.__cause__, yaml.YAMLError):
            # quotes around all of it would make text of it, and the reason says what to do
            raise InputError(f"The value of '{key}' cannot be read: {shown} ({reason})") from error
        raise InputError(
            f"The value of '{key}' is not YAML: {shown}. Put quotes around it. ({reason})"
        ) from error


def read_tree(path: Path) -> dict[str, Any]:
    """Read the nested keys of a YAML file, unchecked.

    Raises:
        InputError: if the file cannot be read, or is not a mapping.
    """
    tree = read_yaml(path, "config")
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InputError(f"The config '{path}' must be a mapping of keys to values, as `spt config` shows.")
    return tree


def bad_config(error: ValidationError, source: str, model: type[BaseModel]) -> InputError:
    """Make one error of every problem of a config."""
    problems = tuple(explain(each, model) for each in problems_of(error))
    lines = "\n".join(f"  {problem}" for problem in problems)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    refusal = InputError(f"{count} in {source}:\n{lines}")
    refusal.problems = problems
    return refusal


def inline(value: Any, allow_unicode: bool = True) -> str:
    """Write a value as YAML on one line."""
    plain = list(value) if isinstance(value, tuple) else value

    def dumped(style: str | None, allow_unicode: bool) -> str:
        text: str = yaml.safe_dump(
            plain,
            default_flow_style=True,
            default_style=style,
            width=float("inf"),
            allow_unicode=allow_unicode,
        )
        return text.removesuffix("\n").removesuffix("\n...")

    text = dumped(None, allow_unicode)
    # only in double quotes are line breaks escaped
    return text if len(text.splitlines()) <= 1 else dumped('"', allow_unicode=False)
