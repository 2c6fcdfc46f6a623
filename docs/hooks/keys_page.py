"""The page of all keys of a run and of a study, from the schemas and texts that the options have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.config import RunConfig
from experiments.keys import inline
from experiments.tuning.config import TuneConfig
from strategies.options import OPTIONS, readers

INTRODUCTION = """# Every key

Made from the texts in the code when the site is built; `spt config` prints the same as YAML. On the command
line a key of a section is `section.key`: `spt run my.yml training.epochs=5`.
[Configuration](../configuration.md) says which keys are set most, and how files, paths and the command line
come together.
"""
KINDS = {
    "array": "a list",
    "boolean": "`true` or `false`",
    "integer": "a whole number",
    "null": "`null`",
    "number": "a number",
    "object": "a mapping",
    "string": "a text",
}
BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
# bounds from here on only keep sizes from overflowing
BEYOND_USE = 10**5
Schema = Mapping[str, Any]


def keys_page() -> str:
    """Write a table for each section of a run's configuration, and one for a study."""
    run, study = RunConfig.model_json_schema(), TuneConfig.model_json_schema()
    sections = {name: section(schema, run) for name, schema in run["properties"].items()}
    plain = {name: schema for name, schema in run["properties"].items() if sections[name] is None}
    lines = [INTRODUCTION, "## A run", "", *table(rows(plain, run))]
    for name, inner in sections.items():
        if inner is not None:
            content = search_rows() if name == "search" else rows(inner["properties"], run)
            lines += ["", f"## `{name}`", "", *table(content)]
    others = {name: schema for name, schema in study["properties"].items() if name != "run"}
    lines += ["", "## A study of `spt tune`", "", "`run` has the keys of a run, or names its file.", ""]
    return "\n".join([*lines, *table(rows(others, study)), ""])


def section(schema: Schema, root: Schema) -> Schema | None:
    """Return the schema of a key that holds keys; None of one that holds a value."""
    branches = [schema, *schema.get("anyOf", []), *schema.get("oneOf", [])]
    references = [branch["$ref"].rpartition("/")[2] for branch in branches if "$ref" in branch]
    return root["$defs"][references[0]] if references else None


def rows(properties: Mapping[str, Schema], root: Schema, above: str = "") -> Iterator[list[str]]:
    """Yield the cells of each key of a section; a section inside of it gives its keys in its place."""
    for name, schema in properties.items():
        inner = section(schema, root)
        if inner is not None:
            yield from rows(inner["properties"], root, f"{above}{name}.")
            continue
        default = f"`{inline(schema['default'])}`" if "default" in schema else ""
        yield [f"`{above}{name}`", default, values(schema), cell(schema.get("description", ""))]


def search_rows() -> Iterator[list[str]]:
    """Yield the cells of the options of all strategies, each once, with the strategies that read it."""
    seen: set[str] = set()
    for model in OPTIONS.values():
        schema = model.model_json_schema()
        for name, default, allowed, text in rows(schema["properties"], schema):
            if name not in seen:
                option = name.strip("`").partition(".")[0]
                every = " or ".join(f"`{strategy}`" for strategy in OPTIONS)
                yield [name, default, every if option == "strategy" else allowed, text + read_by(option)]
            seen.add(name)


def read_by(option: str) -> str:
    """Say which strategies read an option, where not all do."""
    names = readers(option)
    others = [name for name in OPTIONS if name not in names]
    shown = f"all but {', '.join(others)}" if len(others) < len(names) else ", ".join(names)
    return f" Read by {shown}." if others else ""


def table(lines: Iterator[list[str]]) -> list[str]:
    """Return the Markdown of a table of keys."""
    head = ["key", "default", "values", "what it does"]
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)]


def values(schema: Schema) -> str:
    """Say which values a key takes, as far as its schema tells."""
    if "anyOf" in schema:
        return " or ".join(values(branch) for branch in schema["anyOf"])
    choices = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if choices:
        return " or ".join(f"`{cell(str(choice))}`" for choice in choices)
    kind = KINDS[schema["type"]] if "type" in schema else "any"
    if "items" in schema:
        kind += f" of {values(schema['items'])}".replace(" of a ", " of ")
    bounds = [
        f"{word} {schema[name]:g}"
        for name, word in BOUNDS.items()
        if abs(schema.get(name, BEYOND_USE)) < BEYOND_USE
    ]
    return " ".join([kind, *bounds])


def cell(text: str) -> str:
    """Return a text that does not end its cell."""
    return text.replace("|", "\\|")
