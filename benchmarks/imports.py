"""Rooms and folders, and who imports whom: `python -m benchmarks imports`.

An import counts wherever it stands, in a function and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# in the order in which they may import: each knows those before it
ROOMS = ("spt", "search_spaces", "strategies", "experiments", "benchmarks")
# the front door hands the estimator of the top floor on
WAY_UP = ("spt", "experiments.estimator")


@dataclass(frozen=True)
class Module:
    """A Python file of a room.

    Attributes:
        name: dotted; a package has that of its folder.
        summary: first line of its docstring.
        lines: of the file.
        imports: dotted names of modules, or of what is taken out of them.
        texts: its strings, by one of which a module may be imported too.
    """

    name: str
    summary: str
    lines: int
    imports: frozenset[str]
    texts: frozenset[str]

    @property
    def room(self) -> str:
        """Return the top-level package."""
        return self.name.split(".")[0]

    def unit(self, depth: int) -> str:
        """Return its part of the room so deep: a folder with all below it, or a file beside the folders."""
        return ".".join(self.name.split(".")[:depth])


Modules = Mapping[str, Module]
Edges = Mapping[str, Collection[str]]


def read_modules(root: Path, rooms: Iterable[str] = ROOMS) -> dict[str, Module]:
    """Read every Python file of the rooms, by its dotted name."""
    paths = [path for room in rooms for path in sorted((root / room).rglob("*.py"))]
    modules = [_read_module(path, path.relative_to(root)) for path in paths]
    return {module.name: module for module in modules}


def _read_module(path: Path, relative: Path) -> Module:
    package = relative.name == "__init__.py"
    name = ".".join(relative.parent.parts if package else relative.with_suffix("").parts)
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    return Module(
        name,
        (ast.get_docstring(tree) or "").partition("\n")[0],
        len(text.splitlines()),
        frozenset(_imported_names(tree, ".".join(relative.parent.parts))),
        frozenset(_texts(tree)),
    )


def _imported_names(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def imported_modules(modules: Modules) -> dict[str, set[str]]:
    """Return the modules that each of the modules imports, without itself."""
    return {
        name: {target for imported in module.imports if (target := _module_of(imported, modules))} - {name}
        for name, module in modules.items()
    }


def _module_of(imported: str, modules: Modules) -> str:
    """Return the module that a dotted name is, or is taken out of; nothing for another library's."""
    while imported and imported not in modules:
        imported = imported.rpartition(".")[0]
    return imported


def imported_units(modules: Modules, depth: int) -> dict[str, set[str]]:
    """Return the parts of the rooms, two names deep or more, that each part imports, without itself."""
    units: dict[str, set[str]] = {}
    for name, imported in imported_modules(modules).items():
        unit = modules[name].unit(depth)
        units.setdefault(unit, set()).update({modules[other].unit(depth) for other in imported} - {unit})
    return units


def reached(start: str, edges: Edges) -> set[str]:
    """Return all that is imported from a start on, directly or through others."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = set(edges.get(waiting.pop(), ())) - seen
        seen |= new
        waiting += new
    return seen


def circles(edges: Edges) -> list[list[str]]:
    """Return the groups whose members all import each other, directly or through others."""
    reach = {name: reached(name, edges) for name in edges}
    groups = {tuple(sorted(o for o in reach[name] if name in reach.get(o, ()))) for name in edges}
    return sorted(list(group) for group in groups if group)


def within_rooms(edges: Edges) -> dict[str, set[str]]:
    """Return the imports inside every room."""
    return {name: {o for o in others if _room(o) == _room(name)} for name, others in edges.items()}


def wrong_ways(modules: Modules, rooms: Sequence[str] = ROOMS) -> list[tuple[str, str]]:
    """Return (module, module of a later room that it imports, or names in a string)."""
    imported = imported_modules(modules)
    pairs = {
        (name, other)
        for name, module in modules.items()
        for other in {*imported[name], *(module.texts & modules.keys())}
        if rooms.index(_room(other)) > rooms.index(module.room)
    }
    return sorted(pairs - {WAY_UP})


def _room(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def all_circles(modules: Modules) -> list[list[str]]:
    """Return the circles inside the rooms, of modules and of folders at every depth."""
    deepest = max(name.count(".") for name in modules) + 1
    graphs = [imported_modules(modules), *(imported_units(modules, depth) for depth in range(2, deepest))]
    every_circle = {tuple(circle) for edges in graphs for circle in circles(within_rooms(edges))}
    return sorted(map(list, every_circle))


def tree_lines(modules: Modules) -> Iterator[str]:
    """Give the rooms and their folders, a line each: lines of code with those below, and what it is."""
    for name, module in modules.items():
        below = [other for other in modules.values() if f"{other.name}.".startswith(f"{name}.")]
        if len(below) > 1 or "." not in name:
            indent = "  " * name.count(".")
            lines = sum(other.lines for other in below)
            yield f"{indent + name.rpartition('.')[2] + '/':<18}{lines:>7,}  {module.summary}"


def report(modules: Modules) -> tuple[str, bool]:
    """Return the tree with the circles and imports the wrong way, and whether there are none."""
    rings, wrong = all_circles(modules), wrong_ways(modules)
    lines = [
        *tree_lines(modules),
        f"circles: {len(rings)}",
        *(f"  {' <-> '.join(ring)}" for ring in rings),
        f"imports the wrong way: {len(wrong)}",
        *(f"  {name} -> {other}" for name, other in wrong),
    ]
    return "\n".join(lines), not rings and not wrong
