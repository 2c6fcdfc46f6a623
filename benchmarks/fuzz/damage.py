"""One thing of a valid case changed: a value, its type, a key, a byte, a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

from hypothesis import strategies as st

from benchmarks.fuzz.case import Expected

Path = tuple[str | int, ...]

VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, False, "", " ", [], {}, [None], [[]], {"": None}, 0, -1, 1.5, 2**31, 2**63, 10**30),
        *(
            float("nan"),
            float("inf"),
            -float("inf"),
            1e300,
            "true",
            "null",
            "1e5",
            "2024-01-02",
            "🙂",
            "\\",
            "../..",
        ),
        *("~nosuchuser/x", "/dev/null", "/proc/self/mem", "a\x00b", "{text}", "%s", "a" * 5000, "9" * 5000),
        *(["a", "a"], [1, 2, 3], {"a": {"b": {}}}, [True, 1], list(range(300))),
    ]
) | st.one_of(st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=3))
SNIPPETS = st.sampled_from(
    [
        *(
            b"\x00",
            b"\xff",
            b"\xed\xa0\xbd",
            b"\xef\xbb\xbf",
            b"\r",
            b"\n",
            b"\n\n",
            b'"',
            b"'",
            b"\t",
            b",",
            b":",
        ),
        *(
            b"[" * 20_000,
            b"{" * 50,
            b'{"a":' * 5_000,
            b"9" * 5_000,
            b"!!int ''",
            b"&a [*a]",
            b"*a",
            b"- ",
            b"# ",
        ),
        *(
            b"!!python/object/apply:os.getcwd []",
            b"1:30",
            b"017",
            b"? ",
            b"<<: ",
            b"%YAML 9.9\n",
            b"---\n",
            b"\\ud83d",
        ),
    ]
) | st.binary(min_size=1, max_size=4)


class Damaged(NamedTuple):
    """Hold a damaged tree or text, what was done, and how it must end."""

    content: Any
    damage: str
    expected: Expected = "either"


def paths(tree: Any, at: Path = ()) -> Iterator[Path]:
    """Yield the place of every value in nested mappings and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*at, key)
        yield from paths(value, (*at, key))


def reached(tree: Any, path: Path) -> Any:
    """Return the value at a place."""
    for key in path:
        tree = tree[key]
    return tree


@st.composite
def damaged_trees(draw: st.DrawFn, tree: Any, closed: bool) -> Damaged:
    """Draw a tree with one value, type or key changed.

    Args:
        draw: of hypothesis.
        tree: nested mappings and lists, with at least one value.
        closed: whether keys at the top that nobody knows must be refused.
    """
    content = deepcopy(tree)
    *before, key = draw(st.sampled_from(list(paths(content))))
    outer = reached(content, tuple(before))
    value, place = outer[key], ".".join(map(str, (*before, key)))
    deeds: dict[str, Callable[[], Any]] = {
        "another value": lambda: outer.__setitem__(key, draw(VALUES)),
        "in a list": lambda: outer.__setitem__(key, [value]),
        "as text": lambda: outer.__setitem__(key, str(value)),
        "the negative": lambda: outer.__setitem__(key, -value),
        "a switch": lambda: outer.__setitem__(key, draw(st.booleans())),
        "gone": lambda: outer.pop(key),
    }
    if not isinstance(value, int | float):
        deeds.pop("the negative")
    if isinstance(outer, dict):
        deeds["misspelt"] = lambda: outer.__setitem__(f"{key}x", outer.pop(key))
    deed = draw(st.sampled_from(sorted(deeds)))
    deeds[deed]()
    misspelt = deed == "misspelt" and closed and len(before) == 0
    return Damaged(content, f"{place}: {deed}", "refused" if misspelt else "either")


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> Damaged:
    """Draw bytes with one place changed: a byte, a line, a piece taken away or put in."""
    at = draw(st.integers(0, max(len(content) - 1, 0)))
    deed = draw(
        st.sampled_from(["a byte", "cut", "a piece gone", "a piece put in", "a line twice", "a line gone"])
    )
    lines = content.splitlines(keepends=True) or [b""]
    line = content[:at].count(b"\n") if lines else 0
    line = min(line, len(lines) - 1)
    if deed == "a byte":
        changed = content[:at] + bytes([draw(st.integers(0, 255))]) + content[at + 1 :]
    elif deed == "cut":
        changed = content[:at]
    elif deed == "a piece gone":
        changed = content[:at] + content[at + draw(st.integers(1, 20)) :]
    elif deed == "a piece put in":
        changed = content[:at] + draw(SNIPPETS) + content[at:]
    elif deed == "a line twice":
        changed = b"".join([*lines[: line + 1], *lines[line:]])
    else:
        changed = b"".join([*lines[:line], *lines[line + 1 :]])
    return Damaged(changed, f"byte {at}: {deed}")
